//! musev beside diffusers: with the same tiny networks, words and seeds the same latents, to a
//! thousandth of the largest (tests/goldens/gen/pipelines.py).

mod common;

#[path = "diffusers/conversion.rs"]
mod conversion;
#[path = "diffusers/model.rs"]
mod model;
#[path = "diffusers/pipelines.rs"]
mod pipelines;
#[path = "diffusers/record.rs"]
mod record;
#[path = "diffusers/whole.rs"]
mod whole;
