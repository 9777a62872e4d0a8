//! The weighting grammar of prompts: `(more)`, `[less]`, `(text:1.3)`.
//!
//! - `(x)` multiplies the weight of `x` by 1.1, `[x]` divides it by 1.1, `(x:1.8)` sets the factor;
//!   brackets nest and their factors multiply.
//! - `\(`, `\)`, `\[`, `\]` and `\\` stand for the character itself; another `\` disappears.
//! - A bracket that is never closed reaches to the end; one that was never opened is text.
//! - `:number)` outside of round brackets is text; `[x:0.5]` has no special meaning.
//!
//! The grammar and its corner cases are those of AUTOMATIC1111's web UI, in the version that
//! diffusers' long-prompt pipeline and MuseV use.

/// A run of text with one weight.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedText {
    /// The text without the brackets of the grammar.
    pub text: String,
    /// Its weight: 1.0 is neutral.
    pub weight: f32,
}

const MORE: f64 = 1.1;
const LESS: f64 = 1.0 / 1.1;

/// What the grammar sees in a prompt.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Text(&'a str),
    OpenRound,
    OpenSquare,
    CloseRound,
    /// `:number)`, with its text and the number.
    CloseWeighted(&'a str, f64),
    CloseSquare,
}

/// Splits `prompt` into runs of equal weight, neighbours of equal weight merged. An empty prompt is
/// one empty run.
///
/// Factors are multiplied in double precision in the order of the closing brackets, as the
/// original does, and are kept finite.
pub fn parse_weights(prompt: &str) -> Vec<WeightedText> {
    let mut runs = Runs::default();
    let mut rest = prompt;
    while !rest.is_empty() {
        let (token, length) = next_token(rest);
        rest = &rest[length..];
        match token {
            Token::Text(text) => runs.push(text),
            Token::OpenRound => runs.round.push(runs.parts.len()),
            Token::OpenSquare => runs.square.push(runs.parts.len()),
            Token::CloseRound => match runs.round.pop() {
                Some(start) => runs.multiply(start, MORE),
                None => runs.push(")"),
            },
            Token::CloseWeighted(text, factor) => match runs.round.pop() {
                Some(start) => runs.multiply(start, factor),
                None => runs.push(text),
            },
            Token::CloseSquare => match runs.square.pop() {
                Some(start) => runs.multiply(start, LESS),
                None => runs.push("]"),
            },
        }
    }
    runs.finish()
}

/// The first token of `rest`, which is not empty, and its length in bytes.
fn next_token(rest: &str) -> (Token<'_>, usize) {
    let single = |token| (token, 1);
    match rest.as_bytes()[0] {
        b'\\' => match rest.as_bytes().get(1) {
            Some(b'(' | b')' | b'[' | b']' | b'\\') => (Token::Text(&rest[1..2]), 2),
            _ => single(Token::Text("")),
        },
        b'(' => single(Token::OpenRound),
        b'[' => single(Token::OpenSquare),
        b')' => single(Token::CloseRound),
        b']' => single(Token::CloseSquare),
        b':' => weighted_close(rest).unwrap_or(single(Token::Text(":"))),
        _ => {
            let length = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
            (Token::Text(&rest[..length]), length)
        }
    }
}

/// `:1.3)` at the start of `rest`. Something like `:1.2.3)`, on which the original stops, is text.
fn weighted_close(rest: &str) -> Option<(Token<'_>, usize)> {
    let after_sign = 1 + usize::from(rest[1..].starts_with(['+', '-']));
    let is_number = |c: char| c == '.' || c.is_ascii_digit();
    let end = after_sign + rest[after_sign..].find(|c| !is_number(c))?;
    if !rest[end..].starts_with(')') {
        return None;
    }
    let factor: f64 = rest[1..end].parse().ok()?;
    Some((Token::CloseWeighted(&rest[..=end], finite(factor)), end + 1))
}

/// `weight` within what float32 holds, so that products never become infinite or not a number.
fn finite(weight: f64) -> f64 {
    weight.clamp(f64::from(f32::MIN), f64::from(f32::MAX))
}

/// The runs found so far, with their weights in double precision, and where each bracket that is
/// still open begins.
#[derive(Default)]
struct Runs {
    parts: Vec<(String, f64)>,
    round: Vec<usize>,
    square: Vec<usize>,
}

impl Runs {
    /// Adds text, to the last run where no later bracket can tell the two apart.
    fn push(&mut self, text: &str) {
        let end = self.parts.len();
        let bracket_between = self.round.last() == Some(&end) || self.square.last() == Some(&end);
        match self.parts.last_mut() {
            Some((last, 1.0)) if !bracket_between => last.push_str(text),
            _ => self.parts.push((text.to_owned(), 1.0)),
        }
    }

    fn multiply(&mut self, start: usize, factor: f64) {
        for (_, weight) in &mut self.parts[start..] {
            *weight = finite(*weight * factor);
        }
    }

    /// Closes what is open and merges neighbours of equal weight.
    fn finish(mut self) -> Vec<WeightedText> {
        for start in std::mem::take(&mut self.round) {
            self.multiply(start, MORE);
        }
        for start in std::mem::take(&mut self.square) {
            self.multiply(start, LESS);
        }
        let mut merged: Vec<(String, f64)> = Vec::new();
        for (text, weight) in self.parts {
            match merged.last_mut() {
                Some((last, same)) if *same == weight => last.push_str(&text),
                _ => merged.push((text, weight)),
            }
        }
        if merged.is_empty() {
            merged.push((String::new(), 1.0));
        }
        let narrow = |(text, weight)| WeightedText { text, weight: weight as f32 };
        merged.into_iter().map(narrow).collect()
    }
}
