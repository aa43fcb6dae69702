//! Checks that a text is JSON and finds its top-level keys, in one pass and without allocation.
//!
//! A recorder looks at millions of frames a second and needs four numbers and a name of each, and
//! the certainty that the frame can stand inside a line of JSON. The tests hold this against
//! `serde_json`, which also explains what is wrong with a text that is refused here.
//!
//! Each function takes what is left of the text and returns what is left after its part, so that
//! the place stays in registers.

/// `serde_json` reads 127 levels, and the tape puts one around each frame.
const DEPTH_MAX: u32 = 126;

/// What is left of the text, or `None` where it is not JSON.
type Rest<'a> = Option<&'a [u8]>;

/// Calls `found` with each key of the top-level object (its text between the quotes, escapes as
/// they are) and the value's text. Another kind of value has no keys. `None` if it is not JSON.
pub(super) fn top_level<'a>(text: &'a str, mut found: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let between = |from: &[u8], to: &[u8]| {
        text.get(text.len() - from.len()..text.len() - to.len()).unwrap_or_default()
    };
    let mut rest = space(text.as_bytes());
    if let [b'{', inside @ ..] = rest {
        rest = space(inside);
        if let [b'}', after @ ..] = rest {
            rest = after;
        } else {
            loop {
                let [b'"', name @ ..] = rest else { return None };
                let after_name = string(name)?;
                let before = colon(after_name)?;
                let after = value(before, 1)?;
                let name = between(name, after_name);
                found(name.strip_suffix('"').unwrap_or(name), between(before, after));
                match space(after) {
                    [b',', next @ ..] => rest = space(next),
                    [b'}', after @ ..] => {
                        rest = after;
                        break;
                    }
                    _ => return None,
                }
            }
        }
    } else {
        rest = value(rest, 0)?;
    }
    space(rest).is_empty().then_some(())
}

fn value(rest: &[u8], depth: u32) -> Rest<'_> {
    match rest {
        [b'"', rest @ ..] => string(rest),
        [b'-' | b'0'..=b'9', ..] => number(rest),
        [b'{', rest @ ..] if depth < DEPTH_MAX => object(space(rest), depth + 1),
        [b'[', rest @ ..] if depth < DEPTH_MAX => array(space(rest), depth + 1),
        [b't', b'r', b'u', b'e', rest @ ..]
        | [b'f', b'a', b'l', b's', b'e', rest @ ..]
        | [b'n', b'u', b'l', b'l', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// An object, from its first key.
fn object(mut rest: &[u8], depth: u32) -> Rest<'_> {
    if let [b'}', rest @ ..] = rest {
        return Some(rest);
    }
    loop {
        let [b'"', name @ ..] = rest else { return None };
        rest = value(colon(string(name)?)?, depth)?;
        match space(rest) {
            [b',', next @ ..] => rest = space(next),
            [b'}', rest @ ..] => return Some(rest),
            _ => return None,
        }
    }
}

/// An array, from its first value.
fn array(mut rest: &[u8], depth: u32) -> Rest<'_> {
    if let [b']', rest @ ..] = rest {
        return Some(rest);
    }
    loop {
        match space(value(rest, depth)?) {
            [b',', next @ ..] => rest = space(next),
            [b']', rest @ ..] => return Some(rest),
            _ => return None,
        }
    }
}

fn colon(rest: &[u8]) -> Rest<'_> {
    match space(rest) {
        [b':', rest @ ..] => Some(space(rest)),
        _ => None,
    }
}

/// A string, from after its first quote to after its last.
fn string(mut rest: &[u8]) -> Rest<'_> {
    loop {
        match plain_text(rest) {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', after @ ..] => {
                rest = after;
            }
            [b'\\', b'u', a, b, c, d, after @ ..]
                if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                rest = after;
            }
            _ => return None,
        }
    }
}

/// Skips to the next quote, backslash or control character, eight bytes at a time.
pub(super) fn plain_text(mut rest: &[u8]) -> &[u8] {
    const fn every(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        // A byte of `x` is zero where (x - 1) & !x has its high bit; false hits can only follow a
        // true one, and the first one is what counts.
        let zero = |x: u64| x.wrapping_sub(every(1)) & !x;
        let control = word.wrapping_sub(every(0x20)) & !word;
        let stops = (zero(word ^ every(b'"')) | zero(word ^ every(b'\\')) | control) & every(0x80);
        if stops != 0 {
            return rest.get((stops.trailing_zeros() / 8) as usize..).unwrap_or_default();
        }
        rest = after;
    }
    while let [byte, after @ ..] = rest {
        if *byte < 0x20 || *byte == b'"' || *byte == b'\\' {
            break;
        }
        rest = after;
    }
    rest
}

fn number(rest: &[u8]) -> Rest<'_> {
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let mut rest = match rest {
        [b'0', rest @ ..] => rest,
        _ => digits(rest)?,
    };
    if let [b'.', fraction @ ..] = rest {
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] = rest {
        rest = digits(exponent)?;
    }
    Some(rest)
}

/// One digit or more.
fn digits(rest: &[u8]) -> Rest<'_> {
    let [b'0'..=b'9', rest @ ..] = rest else { return None };
    let mut rest = rest;
    while let [b'0'..=b'9', after @ ..] = rest {
        rest = after;
    }
    Some(rest)
}

fn space(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    fn accepts(text: &str) -> bool {
        top_level(text, |_, _| {}).is_some()
    }

    /// What `serde_json` takes for JSON; its limits on numbers and lone surrogates do not apply to
    /// values that are skipped.
    fn reference(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn it_accepts_what_serde_json_accepts() {
        let seeds = [
            r#"{"type":"orderbook_delta","sid":2,"seq":3,"msg":{"price_dollars":"0.6200","x":[["1",-2.5e+3],[]]}}"#,
            r#" { "a" : [ true , false , null , -0 , 0.5 , 1E-9 ] , "b\u00e9\"\\\/\b\f\n\r\t" : {} } "#,
            r#"["long text of more than eight bytes, é and 漢字 too", "\ud800", 123456789012345678901234567890]"#,
            "\"text\"",
            "-12.5",
            "{}",
        ];
        let alphabet: Vec<char> =
            "{}[]\":,\\/u0123456789abefnrtlsE+-. \n\t\r\u{1}é漢\u{7f}".chars().collect();
        let mut random = fastrand::Rng::with_seed(7);
        let mut accepted = 0;
        for round in 0..200_000 {
            let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
            for _ in 0..random.usize(0..4) {
                let at = random.usize(0..text.len().max(1)).min(text.len());
                let char = alphabet[random.usize(0..alphabet.len())];
                match random.u8(0..3) {
                    0 if at < text.len() => text[at] = char,
                    1 if at < text.len() => drop(text.remove(at)),
                    _ => text.insert(at, char),
                }
            }
            let text: String = text.into_iter().collect();
            assert_eq!(accepts(&text), reference(&text), "{text:?}");
            accepted += usize::from(accepts(&text));
        }
        assert!((20_000..180_000).contains(&accepted), "{accepted} of 200000 accepted");
    }

    #[test]
    fn every_stop_is_found_at_every_place_in_a_word() {
        for length in 0..40 {
            for at in 0..length {
                for stop in ['"', '\\', '\u{1f}', '\u{0}', '\n'] {
                    let mut text = vec!['a'; length];
                    text[at] = stop;
                    let text: String = text.into_iter().collect();
                    let text = format!("\"{text}\"");
                    assert_eq!(accepts(&text), reference(&text), "{text:?}");
                }
                let mut text = vec!['\u{20}'; length];
                text[at] = '\u{80}';
                assert!(accepts(&format!("\"{}\"", text.iter().collect::<String>())));
            }
        }
    }

    #[test]
    fn a_frame_may_be_as_deep_as_serde_json_reads_a_line_around_it() {
        let kinds = [("[", "]"), (r#"{"a":"#, "}"), (r#"{"a":1,"b":[0,"#, "]}")];
        for depth in 1..200 {
            for first in kinds {
                for second in kinds {
                    let nest = |kind: fn((&'static str, &'static str)) -> &'static str| {
                        let of = |n: usize| kind(if n.is_multiple_of(2) { first } else { second });
                        (0..depth).map(of).collect::<Vec<_>>()
                    };
                    let (open, mut close) = (nest(|kind| kind.0), nest(|kind| kind.1));
                    close.reverse();
                    let text = format!("{}0{}", open.concat(), close.concat());
                    let line: Result<serde_json::Value, _> =
                        serde_json::from_str(&format!(r#"{{"frame":{text}}}"#));
                    assert_eq!(accepts(&text), line.is_ok(), "{depth} {text}");
                }
            }
        }
    }
}
