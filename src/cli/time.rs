//! Instants and durations as they are typed.

use jiff::{SignedDuration, Span, SpanRelativeTo};
#[cfg(any(feature = "duckdb", test))]
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

#[cfg(feature = "duckdb")]
use super::failure::Failure;

/// A range of time, as flags.
#[cfg(feature = "duckdb")]
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct RangeArgs {
    /// The first instant: 2026-05-11T05:40:00Z, a date, integer ns since 1970, or now-15m, now-1d; UTC where there is no zone [default: all]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// The first instant after the last [default: all]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<i64>,
}

#[cfg(feature = "duckdb")]
impl RangeArgs {
    /// The range, which is not empty.
    pub(crate) fn range(self) -> Result<kalshi_orderbook::analysis::Range, Failure> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(Failure::usage("--from is not before --to").with_hint(
                "a range is [from, to): from the first instant up to, without, the last",
            ));
        }
        Ok(kalshi_orderbook::analysis::Range { from_ns: self.from, to_ns: self.to })
    }
}

/// Reads `2026-05-11T05:33:41Z`, `2026-05-11 05:33` and `2026-05-11` (UTC), integer nanoseconds
/// since the epoch, `now`, `now-15m` or `now-1d`.
#[cfg(any(feature = "duckdb", test))]
pub(crate) fn instant(text: &str) -> Result<i64, String> {
    let out_of_range = || format!("`{text}` is out of range");
    if let Some(rest) = text.strip_prefix("now") {
        let now = Timestamp::now().as_nanosecond();
        let offset = match rest.split_at_checked(1) {
            None if rest.is_empty() => 0,
            Some(("-", ago)) => -length(ago)?.as_nanos(),
            Some(("+", ahead)) => length(ahead)?.as_nanos(),
            _ => return Err(expected()),
        };
        return i64::try_from(now + offset).map_err(|_| out_of_range());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        let nanos = text.parse().map_err(|_| out_of_range())?;
        return if nanos < NANOS_MIN { Err(not_nanos(text)) } else { Ok(nanos) };
    }
    let time = text.parse::<Timestamp>().or_else(|_| without_zone(text))?;
    i64::try_from(time.as_nanosecond()).map_err(|_| out_of_range())
}

/// 2001-09-09: what is less was not meant as nanoseconds.
#[cfg(any(feature = "duckdb", test))]
const NANOS_MIN: i64 = 1_000_000_000_000_000_000;

/// What a whole number may have been meant as, by its length.
#[cfg(any(feature = "duckdb", test))]
fn not_nanos(text: &str) -> String {
    let meant = match text.len() {
        8 => "as a date it needs its dashes",
        10 => "these look like seconds: add nine zeros",
        13 => "these look like milliseconds: add six zeros",
        16 => "these look like microseconds: add three zeros",
        _ => "times are RFC 3339, dates, or now-15m",
    };
    format!("{text} nanoseconds are near 1970; {meant}")
}

#[cfg(any(feature = "duckdb", test))]
fn expected() -> String {
    "a time is RFC 3339 (2026-05-11T05:33:41Z), a date or a time without a zone, which are UTC \
     (2026-05-11, 2026-05-11 05:33), integer ns since 1970, or now-15m, now-1d"
        .into()
}

/// The rest of what a civil time could be written with would not be heeded, so it is refused.
#[cfg(any(feature = "duckdb", test))]
fn without_zone(text: &str) -> Result<Timestamp, String> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let is_date = date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let is_time = time.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'.');
    let civil = format!("{date}T{time}").parse::<DateTime>().ok();
    let civil = civil.filter(|_| is_date && is_time && date.len() == 10 && time.contains(':'));
    let zoned = civil.and_then(|civil| civil.to_zoned(TimeZone::UTC).ok());
    zoned.map(|zoned| zoned.timestamp()).ok_or_else(expected)
}

/// Reads a duration above zero, such as `250ms`, `15m`, `1h30m` or `1d`, as ns.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let nanos =
        i64::try_from(length(text)?.as_nanos()).map_err(|_| format!("`{text}` is too long"))?;
    if nanos > 0 { Ok(nanos) } else { Err("a duration must be above zero".into()) }
}

/// Without zones, each day has 24 hours; months have no one length.
fn length(text: &str) -> Result<SignedDuration, String> {
    let span = text.parse::<Span>().ok();
    let days = SpanRelativeTo::days_are_24_hours();
    span.and_then(|span| span.to_duration(days).ok()).ok_or_else(|| {
        "a duration is a number and a unit from ns to w, such as 250ms, 15m, 1h30m or 1d".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_each_of_their_forms() {
        assert_eq!(instant("1970-01-01T00:00:01.000000002Z"), Ok(1_000_000_002));
        assert_eq!(instant("1970-01-01T01:00:01+01:00"), Ok(1_000_000_000));
        assert_eq!(instant("1778733492188000000"), Ok(1_778_733_492_188_000_000));
        for (text, meant) in
            [("20260511", "dashes"), ("1778733492", "add nine"), ("1778733492188", "add six")]
        {
            assert!(instant(text).unwrap_err().contains(meant), "{text}");
        }
        let ago = instant("now").unwrap() - instant("now-15m").unwrap();
        assert!((899_000_000_000..=900_000_000_000).contains(&ago), "{ago}");
        let ago = instant("now").unwrap() - instant("now-1w1d").unwrap();
        assert_eq!((ago + 500_000_000) / 1_000_000_000, 8 * 86_400);
        assert_eq!(instant("1970-01-02"), Ok(86_400_000_000_000));
        for text in ["1970-01-01 01:00", "1970-01-01T01:00:00", "1970-01-01T01:00:00.000"] {
            assert_eq!(instant(text), Ok(3_600_000_000_000), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "now15m",
            "now-",
            "1.5",
            "2026-05",
            "2026-13-01",
            "2026-05-11T05",
            "2026-05-11T05:00[America/New_York]",
        ] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_above_zero() {
        assert_eq!(duration("1h30m"), Ok(5_400_000_000_000));
        assert_eq!(duration("250ms"), Ok(250_000_000));
        assert_eq!(duration("1.5h"), Ok(5_400_000_000_000));
        assert_eq!(duration("1d"), Ok(86_400_000_000_000));
        assert_eq!(duration("2w1d12h"), Ok(1_339_200_000_000_000));
        for text in ["0s", "-5m", "5", "", "m", "1mo", "1y", "300y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
