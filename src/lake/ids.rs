//! Numbers for what rows repeat: markets, streams, spans, holes.
//!
//! A number holds the session's in its upper half and counts within the session in the lower, so
//! that sessions can be digested by several threads, or at different times, and never share one.

use serde::{Deserialize, Serialize};

/// A number that is unique in a lake.
pub(super) type Number = u64;

/// The counters of one session.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Ids {
    pub(super) session: u32,
    markets: u32,
    streams: u32,
    spans: u32,
}

impl Ids {
    pub(super) const fn new(session: u32) -> Self {
        Self { session, markets: 0, streams: 0, spans: 0 }
    }

    pub(super) fn next_market(&mut self) -> Number {
        next(self.session, &mut self.markets)
    }

    pub(super) fn next_stream(&mut self) -> Number {
        next(self.session, &mut self.streams)
    }

    pub(super) fn next_span(&mut self) -> Number {
        next(self.session, &mut self.spans)
    }

    /// The number of the session's hole at this place.
    pub(super) fn hole(self, place: usize) -> Number {
        number(self.session, u32::try_from(place).unwrap_or(u32::MAX))
    }
}

fn next(session: u32, counter: &mut u32) -> Number {
    let next = number(session, *counter);
    *counter = counter.saturating_add(1);
    next
}

/// The session's number that a number holds.
pub(super) fn session_of(number: Number) -> u32 {
    u32::try_from(number >> 32).unwrap_or(u32::MAX)
}

fn number(session: u32, count: u32) -> Number {
    u64::from(session) << 32 | u64::from(count)
}
