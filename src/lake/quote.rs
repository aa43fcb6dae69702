//! The best bid and ask, from one change to the next.

use serde::{Deserialize, Serialize};

use super::{
    ids::Number,
    table::{Quotes, push_moment},
};
use crate::book::{Book, Level};

/// A time that is not known yet: bare frames start with a snapshot, which has none.
pub(super) const UNSET: i64 = i64::MIN;

/// A time that is known, less the two ends of all time: no span could end after the last.
pub(super) fn known(time_ns: i64) -> i64 {
    time_ns.clamp(UNSET + 1, i64::MAX - 1)
}

/// When a frame came, and its number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Moment {
    pub(super) at: i64,
    pub(super) recv: Option<i64>,
    pub(super) event: Option<i64>,
    pub(super) seq: i64,
}

impl Moment {
    /// The receive time less `at`.
    pub(super) fn recv_off(&self) -> Option<i64> {
        self.recv.map(|recv| recv.saturating_sub(self.at))
    }
}

/// The best bid and ask in YES terms, and the frame that made them so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quote {
    bid: Option<Level>,
    ask: Option<Level>,
    pub(super) since: Moment,
}

impl Quote {
    pub(super) fn of(book: &Book, since: Moment) -> Self {
        Self { bid: book.yes_bid(), ask: book.yes_ask(), since }
    }

    /// Whether a book still has this bid and ask.
    pub(super) fn stands_in(&self, book: &Book) -> bool {
        self.bid == book.yes_bid() && self.ask == book.yes_ask()
    }

    pub(super) fn write(
        &self,
        rows: &mut Quotes,
        market: Number,
        stream: Number,
        span: Number,
        until: i64,
    ) {
        // Times that are not known yet will be one and the same.
        rows.stood_ns.push(until.max(self.since.at).saturating_sub(self.since.at));
        push_moment!(rows, self.since);
        rows.ticker.push(market);
        rows.stream.push(stream);
        rows.span.push(span);
        rows.seq.push(Some(self.since.seq));
        rows.bid.push(self.bid.map(|level| level.0));
        rows.bid_size.push(self.bid.map(|level| level.1));
        rows.ask.push(self.ask.map(|level| level.0));
        rows.ask_size.push(self.ask.map(|level| level.1));
        rows.end_row();
    }
}
