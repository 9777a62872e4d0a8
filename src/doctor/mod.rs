//! Self-test for an unknown device.

pub mod cases;
