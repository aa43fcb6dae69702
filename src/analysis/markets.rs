//! What the archive holds.

use duckdb::Connection;
use serde::Serialize;

use super::{Error, Nanos, database};

/// What is recorded of a market.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MarketRow {
    /// The market.
    pub ticker: String,
    /// Its series: the text before the first `-`.
    pub series: String,
    /// The first record of it.
    pub first: Nanos,
    /// The last record of it.
    pub last: Nanos,
    /// Frames of it: the sum of the next four.
    pub frames: i64,
    /// Whole books.
    pub snapshots: i64,
    /// Changes of a level.
    pub deltas: i64,
    /// Public trades.
    pub trades: i64,
    /// Ticker messages.
    pub tickers: i64,
    /// Seconds in which its book is known to be right.
    pub live_s: f64,
    /// Times between these in which it is not.
    pub holes: i64,
    /// The exchange does not know the market.
    pub unknown: bool,
}

pub(super) fn markets(connection: &Connection) -> Result<Vec<MarketRow>, Error> {
    let fail = database::failed("ask for the markets");
    let mut statement = connection.prepare(include_str!("sql/markets.sql")).map_err(&fail)?;
    let rows = statement.query_map([], |row| {
        Ok(MarketRow {
            ticker: row.get(0)?,
            series: row.get(1)?,
            first: Nanos(row.get(2)?),
            last: Nanos(row.get(3)?),
            frames: row.get(4)?,
            snapshots: row.get(5)?,
            deltas: row.get(6)?,
            trades: row.get(7)?,
            tickers: row.get(8)?,
            live_s: row.get(9)?,
            holes: row.get(10)?,
            unknown: row.get(11)?,
        })
    });
    rows.and_then(Iterator::collect).map_err(fail)
}
