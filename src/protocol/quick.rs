//! The one frame that makes up 98 % of traffic, read in one pass.
//!
//! Knows a single layout: a delta of generation C as the exchange prints it. Whatever differs in
//! any byte is left to the careful way of [`Header`] and [`Message`], so that nothing is read in
//! two ways.

use std::borrow::Cow;

use super::{Delta, Header, Message, Price, Side, Size, scan};

/// The parts of a delta, between what all deltas have in common. The texts hold no escapes.
struct Layout<'a> {
    sid: u64,
    seq: u64,
    msg: &'a str,
    ticker: &'a str,
    price: &'a str,
    change: &'a str,
    side: &'a str,
    time: &'a str,
    sending_ts_ms: Option<i64>,
}

/// Reads the header of an `orderbook_delta` in the exchange's own layout, else nothing. The whole
/// frame is JSON then.
pub(super) fn header(frame: &str) -> Option<Header<'_>> {
    Layout::read(frame).map(|layout| layout.header())
}

/// Reads a frame that is an `orderbook_delta` in the exchange's own layout, else nothing.
pub(super) fn delta(frame: &str) -> Option<(Header<'_>, Message<'_>)> {
    let layout = Layout::read(frame)?;
    let delta = Delta {
        ticker: Cow::Borrowed(layout.ticker),
        side: Side::parse(layout.side)?,
        price: layout.price.parse::<Price>().ok()?,
        change: layout.change.parse::<Size>().ok()?,
        event_ns: Some(nanoseconds(layout.time.as_bytes())?),
    };
    Some((layout.header(), Message::Delta(delta)))
}

impl<'a> Layout<'a> {
    fn read(frame: &'a str) -> Option<Self> {
        let rest = frame.strip_prefix(r#"{"type":"orderbook_delta","sid":"#)?;
        let (sid, rest) = unsigned(rest)?;
        let (seq, rest) = unsigned(rest.strip_prefix(r#","seq":"#)?)?;
        let msg = rest.strip_prefix(r#","msg":"#)?;
        let (ticker, rest) = text(msg.strip_prefix(r#"{"market_ticker":""#)?)?;
        let (_, rest) = text(rest.strip_prefix(r#","market_id":""#)?)?;
        let (price, rest) = text(rest.strip_prefix(r#","price_dollars":""#)?)?;
        let (change, rest) = text(rest.strip_prefix(r#","delta_fp":""#)?)?;
        let (side, rest) = text(rest.strip_prefix(r#","side":""#)?)?;
        let (time, rest) = text(rest.strip_prefix(r#","ts":""#)?)?;
        let (_, rest) = unsigned(rest.strip_prefix(r#","ts_ms":"#)?)?;
        let rest = rest.strip_prefix('}')?;
        let msg = msg.get(..msg.len() - rest.len())?;
        let sending_ts_ms = if rest == "}" {
            None
        } else {
            let (sent, rest) = unsigned(rest.strip_prefix(r#","sending_ts_ms":"#)?)?;
            (rest == "}").then_some(())?;
            Some(i64::try_from(sent).ok()?)
        };
        Some(Self { sid, seq, msg, ticker, price, change, side, time, sending_ts_ms })
    }

    fn header(&self) -> Header<'a> {
        Header {
            kind: Some(Cow::Borrowed("orderbook_delta")),
            sid: Some(self.sid),
            seq: Some(self.seq),
            id: None,
            sending_ts_ms: self.sending_ts_ms,
            msg: Some(self.msg),
        }
    }
}

/// The digits at the start, as JSON prints a number below 10^18, and what follows them.
fn unsigned(text: &str) -> Option<(u64, &str)> {
    let mut value = 0;
    let mut digits = 0;
    for byte in text.bytes().take_while(u8::is_ascii_digit).take(19) {
        value = value * 10 + u64::from(byte - b'0');
        digits += 1;
    }
    let leading_zero = digits > 1 && text.starts_with('0');
    ((1..=18).contains(&digits) && !leading_zero).then_some(())?;
    Some((value, text.get(digits..)?))
}

/// A text up to its closing quote, if it holds neither an escape nor a control character.
fn text(rest: &str) -> Option<(&str, &str)> {
    let after = scan::plain_text(rest.as_bytes()).len();
    let (text, rest) = rest.split_at_checked(rest.len() - after)?;
    Some((text, rest.strip_prefix('"')?))
}

/// `2026-05-11T05:33:41.899701Z` in nanoseconds since the epoch.
fn nanoseconds(time: &[u8]) -> Option<i64> {
    let (seconds, fraction) = time.split_at_checked(19)?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] =
        seconds
    else {
        return None;
    };
    let two = |tens, ones| Some(digit(tens)? * 10 + digit(ones)?);
    let (year, month) = (two(y1, y2)? * 100 + two(y3, y4)?, two(m1, m2)?);
    let (day, hour, minute, second) = (two(d1, d2)?, two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let known = (1970..2200).contains(&year)
        && (1..=days_of_month(year, month)?).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    known.then_some(())?;
    let nanos = match fraction {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            let mut value = 0;
            for at in 0..9 {
                value = value * 10 + digits.get(at).map_or(Some(0), |byte| digit(*byte))?;
            }
            value
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000_000_000 + nanos)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn days_of_month(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    })
}

/// Days since the epoch of a date of the Gregorian calendar. Years are counted from March, so that
/// the leap day is the last; a year then has 153 days in each five months.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"type":"orderbook_delta","sid":2,"seq":60725,"msg":{"market_ticker":"KXBTC15M-26MAY140915-15","market_id":"5e6b","price_dollars":"0.9700","delta_fp":"-1.50","side":"yes","ts":"2026-05-14T13:15:00.000224Z","ts_ms":1778764500000},"sending_ts_ms":1778764500001}"#;

    fn slow(frame: &str) -> Option<String> {
        let header = Header::parse_any(frame).ok()?;
        let message = Message::parse(&header).ok()?;
        Some(format!("{header:?} {message:?}"))
    }

    fn quick(frame: &str) -> Option<String> {
        let (header, message) = delta(frame)?;
        Some(format!("{header:?} {message:?}"))
    }

    #[test]
    fn the_usual_delta_is_read_as_the_careful_way_reads_it() {
        let older = FRAME.replace(r#","sending_ts_ms":1778764500001"#, "");
        for frame in [FRAME, &older] {
            assert!(quick(frame).is_some());
            assert_eq!(quick(frame), slow(frame));
        }
    }

    #[test]
    fn every_day_and_every_length_of_fraction_is_the_same_time() {
        for day in 0..85_000 {
            let time = jiff::Timestamp::from_second(day * 86_400 + day % 86_400).unwrap();
            let text = time.to_string();
            let expected = i64::try_from(time.as_nanosecond()).ok();
            if time.as_second() < 7_258_118_400 {
                assert_eq!(nanoseconds(text.as_bytes()), expected, "{text}");
            }
        }
        for (text, expected) in [
            ("1970-01-01T00:00:00.1Z", Some(100_000_000)),
            ("1970-01-01T00:00:01.123456789Z", Some(1_123_456_789)),
            ("1970-01-01T00:00:01.1234567891Z", None),
            ("1970-01-01T00:00:01.Z", None),
            ("1970-02-29T00:00:00Z", None),
            ("1970-04-31T00:00:00Z", None),
            ("1970-01-01T24:00:00Z", None),
            ("1970-01-01T00:00:00+01:00", None),
        ] {
            assert_eq!(nanoseconds(text.as_bytes()), expected, "{text}");
        }
    }

    /// Whatever happens to a frame, the quick way says the same as the careful one, or nothing.
    #[test]
    fn a_damaged_frame_is_never_read_in_another_way() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut read = 0;
        for _ in 0..200_000 {
            let mut bytes = FRAME.as_bytes().to_vec();
            for _ in 0..random.usize(1..3) {
                let at = random.usize(..bytes.len());
                match random.u8(..4) {
                    0 => drop(bytes.remove(at)),
                    1 => bytes.insert(at, random.u8(b' '..127)),
                    2 => bytes[at] = random.u8(b'0'..b':'),
                    _ => bytes[at] = random.u8(0..127),
                }
            }
            let Ok(frame) = std::str::from_utf8(&bytes) else { continue };
            if let Some(header) = header(frame) {
                let careful = Header::parse_any(frame).unwrap();
                assert_eq!(format!("{header:?}"), format!("{careful:?}"), "{frame}");
            }
            if let Some(quick) = quick(frame) {
                read += 1;
                assert_eq!(Some(quick), slow(frame), "{frame}");
            }
        }
        assert!(read > 1_000, "{read}");
    }
}
