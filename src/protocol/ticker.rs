//! The name of a market.

use std::{fmt, str::FromStr};

/// A market's ticker, such as `KXBTCD-26FEB0620-T72999.99`.
///
/// Capitals, digits, `-` and `.`, at most 200 characters. Lower case is accepted and raised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticker(Box<str>);

/// A text that cannot be a ticker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a ticker: {reason}")]
pub struct TickerError {
    text: String,
    reason: &'static str,
}

impl Ticker {
    /// The longest ticker the exchange's own queries accept.
    pub const MAX_CHARS: usize = 200;

    /// The ticker's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The series by convention: the text before the first `-`.
    #[must_use]
    pub fn series_of(ticker: &str) -> &str {
        ticker.split('-').next().unwrap_or(ticker)
    }
}

impl FromStr for Ticker {
    type Err = TickerError;

    fn from_str(text: &str) -> Result<Self, TickerError> {
        let refuse = |reason| {
            let text = text.chars().take(60).collect();
            Err(TickerError { text, reason })
        };
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > Self::MAX_CHARS {
            return refuse("it is longer than 200 characters");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
            return refuse("tickers hold letters, digits, `-` and `.` only");
        }
        if !text.bytes().any(|b| b.is_ascii_alphanumeric()) {
            return refuse("it has no letter or digit");
        }
        Ok(Self(text.to_ascii_uppercase().into()))
    }
}

impl fmt::Display for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Ticker {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_tickers_are_accepted_and_raised() {
        for text in ["KXBTCD-26FEB0620-T72999.99", "HIGHNY-24JAN01-T60", "FED-23DEC"] {
            assert_eq!(text.parse::<Ticker>().unwrap().as_str(), text);
        }
        assert_eq!("kxfed-27apr-t4.25".parse::<Ticker>().unwrap().as_str(), "KXFED-27APR-T4.25");
        assert_eq!(Ticker::series_of("KXBTC15M-26FEB081915-15"), "KXBTC15M");
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in ["", "../etc/passwd", "KX A", "KX/A", "..", "KX\u{e9}", &"A".repeat(201)] {
            assert!(text.parse::<Ticker>().is_err(), "{text:?}");
        }
    }
}
