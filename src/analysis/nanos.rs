//! Instants and ranges.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// Nanoseconds since the epoch, UTC; printed as RFC 3339, and written with all nine decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub i64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => match f.precision() {
                Some(decimals) => write!(f, "{time:.decimals$}"),
                None => f.pad(&time.to_string()),
            },
            Err(_) => self.0.fmt(f),
        }
    }
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:.9}"))
    }
}

/// A time range `[from, to)`; an absent end is where the recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// The first instant in it, ns since the epoch.
    pub from_ns: Option<i64>,
    /// The first instant after it, ns since the epoch.
    pub to_ns: Option<i64>,
}

impl Range {
    pub(super) fn start(self) -> i64 {
        self.from_ns.unwrap_or(i64::MIN)
    }

    pub(super) fn end(self) -> i64 {
        self.to_ns.unwrap_or(i64::MAX)
    }
}
