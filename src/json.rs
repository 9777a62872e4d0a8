//! JSON as Python writes it.

use serde::de::DeserializeOwned;

/// Reads `text`; the numbers that Python writes and JSON does not have, `NaN` and `Infinity`, are
/// taken for `null`.
///
/// # Errors
/// When the text is not JSON or does not describe a `T`.
pub(crate) fn from_python<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(&with_nulls(text))
}

fn with_nulls(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    // Every second piece between quotes is a string; an escaped quote does not end it.
    let mut in_string = false;
    for piece in text.split_inclusive('"') {
        if in_string {
            plain.push_str(piece);
            let body = piece.strip_suffix('"').unwrap_or(piece);
            let escapes = body.len() - body.trim_end_matches('\\').len();
            in_string = escapes % 2 == 1 || !piece.ends_with('"');
        } else {
            let piece = piece.replace("-Infinity", "null");
            plain.push_str(&piece.replace("Infinity", "null").replace("NaN", "null"));
            in_string = true;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::with_nulls;

    #[test]
    fn what_python_calls_a_number_becomes_null() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity], "NaN \" NaN \\": "NaN", "c": NaN}"#;
        let plain = r#"{"a": null, "b": [null, null], "NaN \" NaN \\": "NaN", "c": null}"#;
        assert_eq!(with_nulls(text), plain);
    }
}
