//! What is true of the market at one moment, for comparing with what a client rebuilt.

use crate::protocol::{Price, Size};

/// One market's book as the sum of its resting orders; best level first on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookImage {
    /// The market.
    pub ticker: String,
    /// YES bids in yes-leg dollars.
    pub yes: Vec<(Price, Size)>,
    /// NO bids in no-leg dollars, whatever a client subscribed to.
    pub no: Vec<(Price, Size)>,
}

/// How far one subscription's stream had come at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The connection, counted from 1 in the order accepted.
    pub connection: u32,
    /// The subscription id.
    pub sid: u64,
    /// The channel's name.
    pub channel: String,
    /// The last sequence number given out; 0 before the first, and on channels without numbers.
    pub seq: u64,
    /// The tickers held, sorted; empty when the subscription is for everything.
    pub tickers: Vec<String>,
}

/// The true books together with the position of every stream that told of them.
///
/// A client that has applied a book subscription's frames up to `seq` holds exactly these books
/// for the position's tickers. A subscription that has ended has no position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Every known market, in the order first asked for.
    pub books: Vec<BookImage>,
    /// Every open subscription, by connection and sid.
    pub positions: Vec<Position>,
}

impl Checkpoint {
    /// The true book of a market, if it had been asked for by then.
    #[must_use]
    pub fn book(&self, ticker: &str) -> Option<&BookImage> {
        self.books.iter().find(|book| book.ticker == ticker)
    }
}
