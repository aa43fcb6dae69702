//! At what price contracts changed hands.

use duckdb::Connection;
use serde::Serialize;

use super::{Error, Nanos, Range, database};

/// Trades of a bar. Prices are YES dollars; block trades, which are matched off the book, are
/// counted apart and in no other column.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VwapBar {
    /// The market.
    pub ticker: String,
    /// The bar's start; none where there is one bar.
    pub bar: Option<Nanos>,
    /// Sum of price times size over sum of size.
    pub vwap: Option<f64>,
    /// Contracts, exact.
    pub volume: String,
    /// Number of trades.
    pub trades: i64,
    /// Contracts of block trades, exact.
    pub block_volume: String,
    /// Number of block trades.
    pub block_trades: i64,
    /// The lowest price.
    pub low: Option<String>,
    /// The highest price.
    pub high: Option<String>,
}

pub(super) fn vwap(
    connection: &Connection,
    ticker: &str,
    range: Range,
    every_ns: Option<i64>,
) -> Result<Vec<VwapBar>, Error> {
    let fail = database::failed("ask for the volume-weighted price");
    let mut statement = connection.prepare(include_str!("sql/vwap.sql")).map_err(&fail)?;
    let params = duckdb::params![ticker, range.start(), range.end(), every_ns];
    let bars = statement.query_map(params, |row| {
        Ok(VwapBar {
            ticker: ticker.to_owned(),
            bar: row.get::<_, Option<i64>>(0)?.map(Nanos),
            vwap: row.get(1)?,
            volume: row.get(2)?,
            trades: row.get(3)?,
            block_volume: row.get(4)?,
            block_trades: row.get(5)?,
            low: row.get(6)?,
            high: row.get(7)?,
        })
    });
    bars.and_then(Iterator::collect).map_err(fail)
}
