//! Task files, negative prompts, model tables and output names.

#[path = "config/bad_input.rs"]
mod bad_input;
#[path = "config/interpolation.rs"]
mod interpolation;
#[path = "config/models.rs"]
mod models;
#[path = "config/output_name.rs"]
mod output_name;
#[path = "config/tasks.rs"]
mod tasks;
