//! Module paths and state-dict keys.

/// One rename between a module path and the PyTorch state dict: `(state-dict, module)`.
///
/// Both sides are runs of dot-separated segments, and a rule applies wherever its module side
/// occurs inside a path: `("to_out.0", "to_out")` serves every attention of a network. `#` stands
/// for one number and `*` for any one segment; what they match is carried over in order. An empty
/// state-dict side drops the segments. Paths that no rule touches are equal on both sides.
///
/// Where several rules have matching module sides, the first gives the tensor its name and the
/// others are older spellings accepted in files:
/// `[("to_q", "to_q"), ("query", "to_q")]` names it `to_q` and also finds `query`.
pub type KeyRename = (&'static str, &'static str);

/// The state-dict names of a module path: the name first, then the other spellings.
pub(super) fn names_of(path: &[String], keys: &[KeyRename]) -> Vec<String> {
    spellings(path, keys).into_iter().map(|segments| segments.join(".")).collect()
}

fn spellings<'a>(path: &'a [String], keys: &[KeyRename]) -> Vec<Vec<&'a str>> {
    let Some((first, rest)) = path.split_first() else { return vec![Vec::new()] };
    let mut found = Vec::new();
    for (state, module) in keys {
        if let Some((renamed, length)) = rename_prefix(path, state, module) {
            for tail in spellings(&path[length..], keys) {
                found.push([renamed.clone(), tail].concat());
            }
        }
    }
    if found.is_empty() {
        for tail in spellings(rest, keys) {
            found.push([vec![first.as_str()], tail].concat());
        }
    }
    found
}

/// `path` begins with `module`: the state-dict segments for it, and how many it covers.
fn rename_prefix<'a>(
    path: &'a [String],
    state: &'static str,
    module: &str,
) -> Option<(Vec<&'a str>, usize)> {
    let pattern: Vec<&str> = module.split('.').collect();
    let covered = path.get(..pattern.len())?;
    let mut carried = Vec::new();
    for (segment, &want) in covered.iter().map(String::as_str).zip(&pattern) {
        match want {
            "*" => carried.push(segment),
            "#" if segment.bytes().all(|byte| byte.is_ascii_digit()) => carried.push(segment),
            want if want == segment => {}
            _ => return None,
        }
    }
    let mut carried = carried.into_iter();
    let renamed = state
        .split('.')
        .filter(|segment| !segment.is_empty())
        .filter_map(|segment| match segment {
            "*" | "#" => carried.next(),
            segment => Some(segment),
        })
        .collect();
    Some((renamed, pattern.len()))
}

/// Whether `name` fits a glob of `*` (any run of characters, dots included) and `?` (any one).
pub(super) fn matches_glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // The last star, and how far into the name it has been stretched.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|&want| want == '?' || want == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, stretched)) = star {
            star = Some((at, stretched + 1));
            p = at + 1;
            n = stretched + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::{KeyRename, matches_glob, names_of};

    fn names(path: &str, keys: &[KeyRename]) -> Vec<String> {
        let path: Vec<String> = path.split('.').map(String::from).collect();
        names_of(&path, keys)
    }

    #[test]
    fn a_rule_applies_anywhere_in_the_path() {
        let keys = [("to_out.0", "to_out"), ("net.0.proj", "proj_in"), ("net.2", "proj_out")];
        assert_eq!(names("a.0.attn1.to_out.weight", &keys), ["a.0.attn1.to_out.0.weight"]);
        assert_eq!(names("ff.proj_in.bias", &keys), ["ff.net.0.proj.bias"]);
        assert_eq!(names("conv_in.weight", &keys), ["conv_in.weight"]);
    }

    #[test]
    fn wildcards_are_carried_in_order() {
        let keys = [("layers.#.sub.*.w", "blocks.#.*.w")];
        assert_eq!(names("m.blocks.12.q.w", &keys), ["m.layers.12.sub.q.w"]);
        assert_eq!(names("m.blocks.x.q.w", &keys), ["m.blocks.x.q.w"]);
    }

    #[test]
    fn later_rules_are_other_spellings() {
        let keys =
            [("to_q", "to_q"), ("query", "to_q"), ("to_out.0", "to_out"), ("proj_attn", "to_out")];
        assert_eq!(names("a.to_q.weight", &keys), ["a.to_q.weight", "a.query.weight"]);
        assert_eq!(names("a.to_out.bias", &keys), ["a.to_out.0.bias", "a.proj_attn.bias"]);
    }

    #[test]
    fn an_empty_side_drops_segments() {
        assert_eq!(names("inner.weight", &[("", "inner")]), ["weight"]);
    }

    #[test]
    fn globs() {
        assert!(matches_glob("*temp_attentions*", "down_blocks.0.temp_attentions.1.norm.bias"));
        assert!(matches_glob("a.?.b", "a.1.b"));
        assert!(!matches_glob("a.?.b", "a.10.b"));
        assert!(matches_glob("*", ""));
        assert!(!matches_glob("a*b", "a.b.c"));
        assert!(matches_glob("a*b*c", "axxbyybzzc"));
    }
}
