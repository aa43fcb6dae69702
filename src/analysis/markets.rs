//! What the archive holds.

use duckdb::Connection;
use serde::Serialize;

use super::{Error, Nanos, database};

/// What is recorded of a market: a row of the view `markets`, without its metadata.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MarketRow {
    /// The market.
    pub ticker: String,
    /// Its series: the text before the first `-`.
    pub series: String,
    /// The first record of it; none where there is only its metadata.
    pub first_ts: Option<Nanos>,
    /// The last record of it.
    pub last_ts: Option<Nanos>,
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
    pub unknown_to_exchange: bool,
}

pub(super) fn markets(connection: &Connection) -> Result<Vec<MarketRow>, Error> {
    let fail = database::failed("ask for the markets");
    let sql = "SELECT ticker, series, epoch_ns(first_ts), epoch_ns(last_ts), frames, snapshots,
                      deltas, trades, tickers, live_s, holes, unknown_to_exchange
               FROM markets ORDER BY ticker";
    let mut statement = connection.prepare(sql).map_err(&fail)?;
    let rows = statement.query_map([], |row| {
        Ok(MarketRow {
            ticker: row.get(0)?,
            series: row.get(1)?,
            first_ts: row.get::<_, Option<i64>>(2)?.map(Nanos),
            last_ts: row.get::<_, Option<i64>>(3)?.map(Nanos),
            frames: row.get(4)?,
            snapshots: row.get(5)?,
            deltas: row.get(6)?,
            trades: row.get(7)?,
            tickers: row.get(8)?,
            live_s: row.get(9)?,
            holes: row.get(10)?,
            unknown_to_exchange: row.get(11)?,
        })
    });
    rows.and_then(Iterator::collect).map_err(fail)
}
