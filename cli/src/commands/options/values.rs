//! Values that options take.

use musev::Format;

/// Whole numbers from 1 to `most`.
pub(crate) fn count(most: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=most)
}

pub(crate) fn number(
    text: &str,
    fits: impl Fn(f64) -> bool,
    expected: &str,
) -> Result<f64, String> {
    text.parse().ok().filter(|&value| fits(value)).ok_or_else(|| format!("expected {expected}"))
}

pub(crate) fn finite(text: &str) -> Result<f64, String> {
    number(text, f64::is_finite, "a number")
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    number(text, |value| value.is_finite() && value > 0.0, "a number above 0")
}

pub(crate) fn factor(text: &str) -> Result<f64, String> {
    number(text, |value| value.is_finite() && value >= 0.0, "a number, 0 or more")
}

pub(crate) fn rate(text: &str) -> Result<f64, String> {
    number(text, |value| (0.01..=1000.0).contains(&value), "a number from 0.01 to 1000")
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1.0).contains(&value), "a number between 0 and 1")
}

pub(crate) fn part(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1.0, "a number above 0 and up to 1")
}

pub(crate) fn format(text: &str) -> Result<Format, String> {
    Format::from_name(text).ok_or_else(|| "expected mp4, gif, webp, png or images".to_owned())
}
