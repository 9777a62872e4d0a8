//! The data of the default model: Microsoft's Fluent emoji as animated WebP clips.
//!
//! A clip is named by the code points of its emoji, as in `1f44b-1f3fd.webp`, a waving hand of
//! medium skin tone. Captions and the split into training and held-out clips follow from that name.

mod caption;
mod fetch;

use md5::{Digest, Md5};

pub use caption::{Caption, caption, name};
pub use fetch::{FetchEvent, Fetched, PACKAGES, fetch, unpack, write_captions};

const JOINER: u32 = 0x200d;
const EMOJI_STYLE: u32 = 0xfe0f;
const HEART: u32 = 0x2764;
const KISS_MARK: u32 = 0x1f48b;
const HANDSHAKE: u32 = 0x1f91d;
const PERSON: u32 = 0x1f9d1;
const CHILD: u32 = 0x1f9d2;

/// The code points in a file name such as `1f44b-1f3fd`, `None` if it is none.
pub fn parse(codepoints: &str) -> Option<Vec<char>> {
    let point = |digits: &str| {
        let plain = digits.len() <= 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)).flatten()
    };
    let mut points: Vec<char> = codepoints.split(['-', '_']).map(point).collect::<Option<_>>()?;
    // Flags of regions are spelt in tags, whose end the file names leave out.
    if matches!(points.last(), Some('\u{e0020}'..='\u{e007e}')) {
        points.push('\u{e007f}');
    }
    Some(points)
}

/// The emoji that `codepoints` is a variant of, named in the same way: without skin tone, gender,
/// hair and direction of travel. Clock faces are variants of one clock, hearts of one colour of the
/// red one, and couples and families of each other, as their clips are all but the same.
///
/// What is no sequence of code points is its own base.
pub fn base(codepoints: &str) -> String {
    let Some(points) = parse(codepoints) else { return codepoints.to_owned() };
    let points: Vec<u32> = points.into_iter().map(u32::from).collect();
    let parts: Vec<Vec<u32>> = points.split(|point| *point == JOINER).filter_map(part).collect();
    let parts = match parts.as_slice() {
        // A sign of a variant by itself, as the women's sign.
        [] => return codepoints.to_owned(),
        [only] => vec![single(only)],
        several => joined(several),
    };
    let text = |part: &Vec<u32>| {
        part.iter().map(|point| format!("{point:04x}")).collect::<Vec<_>>().join("-")
    };
    parts.iter().map(text).collect::<Vec<_>>().join("-200d-")
}

/// Whether clips of the emoji `base` are kept from training: the first byte of the MD5 of that
/// text is a multiple of ten, as 26 bytes of 256 are.
pub fn held_out(base: &str) -> bool {
    Md5::digest(base.as_bytes())[0].is_multiple_of(10)
}

/// One member of a sequence without what makes it a variant, `None` if nothing else is left.
fn part(points: &[u32]) -> Option<Vec<u32>> {
    let kept = points.iter().copied().filter(|point| {
        let is_skin = (0x1f3fb..=0x1f3ff).contains(point);
        !is_skin && *point != EMOJI_STYLE
    });
    let kept: Vec<u32> = kept.map(ungendered).collect();
    // Women's and men's sign, red, curly, no and white hair, and "facing right".
    let is_variant = |point: u32| matches!(point, 0x2640 | 0x2642 | 0x1f9b0..=0x1f9b3 | 0x27a1);
    match kept.as_slice() {
        [] => None,
        [point] if is_variant(*point) && points.len() < 3 => None,
        _ => Some(kept),
    }
}

fn ungendered(point: u32) -> u32 {
    match point {
        // Man, woman, blond, bearded.
        0x1f468 | 0x1f469 | 0x1f471 | 0x1f9d4 => PERSON,
        // Boy, girl.
        0x1f466 | 0x1f467 => CHILD,
        // Old man, old woman.
        0x1f474 | 0x1f475 => 0x1f9d3,
        // Prince, princess: person with crown.
        0x1f934 | 0x1f478 => 0x1fac5,
        // Man dancing, woman dancing.
        0x1f57a => 0x1f483,
        // Pregnant woman, man, person.
        0x1f930 | 0x1fac3 => 0x1fac4,
        other => other,
    }
}

/// A sequence of one member: those that are variants of a joined one, or of one another.
fn single(part: &[u32]) -> Vec<u32> {
    match part {
        // Two men, two women holding hands.
        [0x1f46c | 0x1f46d] => vec![0x1f46b],
        // Santa Claus, Mrs. Claus: Mx Claus is joined, of the same base.
        [0x1f936] => vec![0x1f385],
        // Clock faces.
        [0x1f550..=0x1f567] => vec![0x1f550],
        // Hearts of one colour.
        [0x1f499..=0x1f49c | 0x1f5a4 | 0x1f90d | 0x1f90e | 0x1f9e1 | 0x1fa75..=0x1fa77] => {
            vec![HEART]
        }
        other => other.to_vec(),
    }
}

/// A sequence of several members: couples and families lose who they are of.
fn joined(parts: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let has = |point: u32| parts.iter().any(|part| part.as_slice() == [point]);
    let is_person = |part: &Vec<u32>| matches!(part.as_slice(), [PERSON | CHILD]);
    let people = parts.iter().filter(|part| is_person(part)).count();
    let one = |point: u32| vec![vec![point]];
    match people {
        // Person and Christmas tree.
        1 if has(0x1f384) => one(0x1f385),
        0 if has(0x1faf1) && has(0x1faf2) => one(HANDSHAKE),
        0 | 1 => parts.to_vec(),
        _ if has(KISS_MARK) => one(0x1f48f),
        _ if has(HEART) => one(0x1f491),
        _ if has(HANDSHAKE) => one(0x1f46b),
        several if several == parts.len() => one(0x1f46a),
        _ => parts.to_vec(),
    }
}
