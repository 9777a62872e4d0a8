//! Words of a prompt that stand for vectors of their own.
//!
//! Textual inversion teaches a text encoder a new token: one vector, or several in a row. As in
//! transformers, such a word is found before everything else, in the letters as they are typed,
//! and inside of other words too.

use std::fmt;
use std::str::FromStr;

/// Signs that mean something else in a prompt, so that no word with them could be found there.
const RESERVED: [char; 8] = ['(', ')', '[', ']', '{', '}', '\\', ':'];

/// How many vectors of an embedding its word stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddingVectors {
    /// The first, as in the original: the others have to be named one by one, `word_1`, `word_2`.
    #[default]
    First,
    /// All, in their order.
    All,
}

impl FromStr for EmbeddingVectors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "first" => Ok(Self::First),
            "all" => Ok(Self::All),
            _ => Err("expected first or all".to_owned()),
        }
    }
}

impl fmt::Display for EmbeddingVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::All => "all",
        })
    }
}

/// The words that stand for vectors, and the ids of these.
#[derive(Clone, Debug, Default)]
pub struct Placeholders {
    /// The longest first: of two that begin at the same place, it is meant.
    words: Vec<(String, Vec<u32>)>,
}

/// What a text consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece<'a> {
    /// Ordinary text.
    Text(&'a str),
    /// A word that stands for these ids.
    Ids(&'a [u32]),
}

impl Placeholders {
    /// Adds the words of an embedding whose vectors have `ids`: `word`, and `word_1`, `word_2` and
    /// so on for the second and those after it.
    ///
    /// # Errors
    /// When a prompt could not hold `word`, or one of the words is there already.
    pub fn add(
        &mut self,
        word: &str,
        ids: &[u32],
        vectors: EmbeddingVectors,
    ) -> Result<(), String> {
        if word.is_empty() || word.trim() != word {
            return Err(format!("{word:?} is no token: it is empty, or has spaces around it"));
        }
        if word.contains(RESERVED) {
            let reserved: String = RESERVED.iter().collect();
            return Err(format!(
                "{word:?} could not stand in a prompt, where {reserved} mean more"
            ));
        }
        for (index, name) in Self::names(word, ids.len()).enumerate() {
            if self.contains(&name) {
                return Err(format!("{name:?} is a token of another embedding"));
            }
            let meant = match vectors {
                EmbeddingVectors::All if index == 0 => ids,
                _ => &ids[index..=index],
            };
            self.words.push((name, meant.to_vec()));
        }
        self.words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        Ok(())
    }

    /// The words of an embedding of `count` vectors.
    pub fn names(word: &str, count: usize) -> impl Iterator<Item = String> {
        (0..count).map(move |index| match index {
            0 => word.to_owned(),
            _ => format!("{word}_{index}"),
        })
    }

    /// Whether `word` is one.
    pub fn contains(&self, word: &str) -> bool {
        self.words.iter().any(|(known, _)| known == word)
    }

    /// How many vectors they stand for.
    pub fn count(&self) -> usize {
        self.words.len()
    }

    /// `text` in its pieces: the word that begins first is taken, of several the longest.
    pub fn split<'a>(&'a self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((at, word, ids)) = self.first(rest) {
            if at > 0 {
                pieces.push(Piece::Text(&rest[..at]));
            }
            pieces.push(Piece::Ids(ids));
            rest = &rest[at + word.len()..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest));
        }
        pieces
    }

    fn first<'a>(&'a self, text: &str) -> Option<(usize, &'a str, &'a [u32])> {
        let places = self.words.iter().filter_map(|(word, ids)| {
            text.find(word.as_str()).map(|at| (at, word.as_str(), ids.as_slice()))
        });
        // Of equal keys `min_by_key` takes the first, here the longest.
        places.min_by_key(|(at, ..)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(vectors: EmbeddingVectors) -> Placeholders {
        let mut placeholders = Placeholders::default();
        placeholders.add("<toy>", &[100], vectors).unwrap();
        placeholders.add("bad", &[101, 102, 103], vectors).unwrap();
        placeholders.add("badhand", &[104], vectors).unwrap();
        placeholders
    }

    #[test]
    fn the_first_and_longest_word_is_taken_as_it_is_typed() {
        let first = placeholders(EmbeddingVectors::First);
        assert_eq!(first.count(), 5);
        let pieces = first.split("a <toy>badhands, Bad bad_2bad");
        let expected = [
            Piece::Text("a "),
            Piece::Ids(&[100]),
            Piece::Ids(&[104]),
            Piece::Text("s, Bad "),
            Piece::Ids(&[103]),
            Piece::Ids(&[101]),
        ];
        assert_eq!(pieces, expected);
        assert!(first.split("").is_empty());
    }

    #[test]
    fn all_vectors_follow_their_word() {
        let all = placeholders(EmbeddingVectors::All);
        let pieces = all.split("bad, bad_1");
        let expected = [Piece::Ids(&[101, 102, 103]), Piece::Text(", "), Piece::Ids(&[102])];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn words_that_no_prompt_could_hold_are_refused() {
        let mut placeholders = placeholders(EmbeddingVectors::First);
        for word in ["", " a", "a(b", "a:1", "{a}", "bad", "bad_1"] {
            assert!(placeholders.add(word, &[7], EmbeddingVectors::First).is_err(), "{word}");
        }
        // Its second vector would be called as one that is there.
        placeholders.add("x_1", &[8], EmbeddingVectors::First).unwrap();
        assert!(placeholders.add("x", &[9, 10], EmbeddingVectors::First).is_err());
    }

    #[test]
    fn names_of_the_choice_are_read_as_written() {
        for vectors in [EmbeddingVectors::First, EmbeddingVectors::All] {
            assert_eq!(vectors.to_string().parse(), Ok(vectors));
        }
        assert!("some".parse::<EmbeddingVectors>().is_err());
    }
}
