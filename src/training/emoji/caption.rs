//! Prompts from the Unicode names of emoji.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::parse;

/// Words in -ing that name no motion.
const NO_MOTION: [&str; 13] = [
    "building", "ceiling", "clothing", "earring", "evening", "fishing", "king", "morning", "ping",
    "ring", "string", "wedding", "wing",
];
/// Words in -s that name one thing.
const SINGULAR: [&str; 14] = [
    "bus",
    "cactus",
    "canvas",
    "circus",
    "compass",
    "hibiscus",
    "hippopotamus",
    "lotus",
    "minibus",
    "octopus",
    "rhinoceros",
    "trolleybus",
    "walrus",
    "virus",
];
/// Who emoji are of.
const PEOPLE: [&str; 7] = ["boy", "child", "girl", "man", "person", "woman", "baby"];

/// `motions.txt`: name → subject (empty: the name) and motion.
static MOTIONS: LazyLock<HashMap<&str, (&str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("motions.txt").lines();
    let entry = |line: &'static str| {
        let (name, rest) = line.split_once(" = ")?;
        Some((name, rest.split_once(" | ").unwrap_or(("", rest))))
    };
    lines.filter(|line| !line.starts_with('#')).filter_map(entry).collect()
});

/// A prompt that describes an emoji.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// A short English phrase such as `a hand with medium skin, waving`.
    pub text: String,
    /// Whether Unicode names the whole emoji; if not, the text is put together from its parts.
    pub is_named: bool,
}

/// The Unicode name of the emoji `codepoints` (`1f44b-1f3fd`): `waving hand: medium skin tone`.
pub fn name(codepoints: &str) -> Option<&'static str> {
    let emoji: String = parse(codepoints)?.into_iter().collect();
    emojis::get(&emoji).map(emojis::Emoji::name)
}

/// A prompt for the emoji `codepoints`; of a clip, `moves`, it ends with what the clip does.
pub fn caption(codepoints: &str, moves: bool) -> Caption {
    if let Some(name) = name(codepoints) {
        return Caption { text: describe(name, moves), is_named: true };
    }
    let name_of = |point: char| emojis::get(point.encode_utf8(&mut [0; 4])).map(|e| e.name());
    let names: Vec<&str> = parse(codepoints).into_iter().flatten().filter_map(name_of).collect();
    let text = match names.as_slice() {
        [] => "an emoji".to_owned(),
        names => names.iter().map(|name| with_article(name)).collect::<Vec<_>>().join(" and "),
    };
    Caption { text, is_named: false }
}

fn describe(name: &str, moves: bool) -> String {
    let (subject, details) = name.split_once(": ").unwrap_or((name, ""));
    match subject {
        "flag" => return format!("the flag of {details}"),
        "keycap" => return format!("a key with the sign {details}"),
        _ => {}
    }
    let details = Details::of(details);
    let (subject, motion) = match subject {
        "kiss" => (details.people("two people"), "kissing".to_owned()),
        "couple with heart" => {
            let subject = format!("{} with a heart", details.people("a couple"));
            (subject, "smiling".to_owned())
        }
        "family" => match details.people("").as_str() {
            "" => ("a family".to_owned(), "nodding".to_owned()),
            people => (format!("a family of {people}"), "nodding".to_owned()),
        },
        other if moves => subject_and_motion(other),
        other => (with_article(other), String::new()),
    };
    let subject = details.added_to(subject);
    if moves && !motion.is_empty() { format!("{subject}, {motion}") } else { subject }
}

/// What follows the colon of a name.
#[derive(Default)]
struct Details<'a> {
    people: Vec<&'a str>,
    /// Each once, `light`, `medium-dark`.
    skins: Vec<&'a str>,
    /// `red hair`, `a beard`.
    hair: Option<String>,
}

impl<'a> Details<'a> {
    fn of(text: &'a str) -> Self {
        let mut details = Self::default();
        for part in text.split(", ").filter(|part| !part.is_empty()) {
            if let Some(skin) = part.strip_suffix(" skin tone") {
                if !details.skins.contains(&skin) {
                    details.skins.push(skin);
                }
            } else if PEOPLE.contains(&part) {
                details.people.push(part);
            } else {
                details.hair = Some(match part {
                    "beard" => "a beard".to_owned(),
                    "bald" | "no hair" => "a bald head".to_owned(),
                    other => other.to_owned(),
                });
            }
        }
        details
    }

    /// `a woman and a man`, or `otherwise` if nobody is named.
    fn people(&self, otherwise: &str) -> String {
        let people: Vec<String> = self.people.iter().map(|who| with_article(who)).collect();
        match people.as_slice() {
            [] => otherwise.to_owned(),
            [one] => one.clone(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        }
    }

    fn added_to(&self, mut subject: String) -> String {
        let skin = (!self.skins.is_empty()).then(|| format!("{} skin", self.skins.join(" and ")));
        for trait_ in skin.iter().chain(&self.hair) {
            let link = if subject.contains(" with ") { "and" } else { "with" };
            subject = format!("{subject} {link} {trait_}");
        }
        subject
    }
}

/// What the emoji called `name` shows and does; the motion is empty where nothing is known.
fn subject_and_motion(name: &str) -> (String, String) {
    if let Some(time) = name.strip_suffix(" o’clock").or(name.strip_suffix("-thirty")) {
        let half = if name.ends_with("-thirty") { " thirty" } else { " o'clock" };
        return (format!("a clock showing {time}{half}"), "turning its hands".to_owned());
    }
    if let Some((subject, motion)) = MOTIONS.get(name) {
        let subject = match *subject {
            "" if name.starts_with("person ") => "a person".to_owned(),
            "" => with_article(name),
            other => other.to_owned(),
        };
        return (subject, (*motion).to_owned());
    }
    gendered(name).unwrap_or_else(|| verb_in(name))
}

/// `woman farmer` and `woman wearing turban` as their ungendered forms.
fn gendered(name: &str) -> Option<(String, String)> {
    let (who, what) = name.split_once(' ').filter(|(who, _)| matches!(*who, "man" | "woman"))?;
    let person = format!("person {what}");
    if let Some((subject, motion)) = MOTIONS.get(person.as_str()) {
        let subject = match subject.strip_prefix("a person") {
            Some(rest) => format!("a {who}{rest}"),
            None => format!("a {who}"),
        };
        return Some((subject, (*motion).to_owned()));
    }
    MOTIONS.get(what).map(|(_, motion)| (with_article(name), (*motion).to_owned()))
}

/// The verb that `name` holds: `winking face` winks, of `face blowing a kiss` the kiss is blown.
fn verb_in(name: &str) -> (String, String) {
    let is_verb =
        |word: &&str| word.len() > 4 && word.ends_with("ing") && !NO_MOTION.contains(word);
    let words: Vec<&str> = name.split(' ').collect();
    let adverb = words.first().filter(|word| word.ends_with("ly"));
    let start = usize::from(adverb.is_some());
    let leading: Vec<&str> = words[start..].iter().copied().take_while(|w| is_verb(w)).collect();
    if !leading.is_empty() {
        let mut motion = leading.join(" and ");
        if let Some(adverb) = adverb {
            motion = format!("{motion} {adverb}");
        }
        return (with_article(name), motion);
    }
    match words.iter().position(is_verb) {
        Some(at) if at > 0 => (several(&words[..at].join(" ")), words[at..].join(" ")),
        _ => (with_article(name), String::new()),
    }
}

/// With an article, or the number of a couple.
fn several(subject: &str) -> String {
    match subject {
        "men" | "women" | "people" => format!("two {subject}"),
        "woman and man" => "a woman and a man".to_owned(),
        other => with_article(other),
    }
}

fn with_article(name: &str) -> String {
    let first = name.split([' ', '-']).next().unwrap_or_default();
    let head = name.split(" with ").next().unwrap_or_default();
    let noun = head.split(" of ").next().and_then(|n| n.split(' ').next_back()).unwrap_or_default();
    let is_plural = noun.ends_with('s') && !noun.ends_with("ss") && !SINGULAR.contains(&noun);
    let is_counted = matches!(first, "men" | "women" | "people") || name.starts_with("two ");
    if is_plural || is_counted || matches!(first, "Santa" | "Mrs.") {
        return name.to_owned();
    }
    let sounds_open = name.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
    let sounds_closed =
        ["uni", "use", "one", "ewe", "euro", "UFO", "US"].iter().any(|s| name.starts_with(s));
    let is_open = (sounds_open && !sounds_closed) || first == "hourglass";
    format!("{} {name}", if is_open { "an" } else { "a" })
}
