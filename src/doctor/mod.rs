//! Self-test for an unknown device.

pub mod cases;
mod inspect;

pub use inspect::inspect;
