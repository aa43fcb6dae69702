//! How far apart the best bid and ask are.

use duckdb::Connection;
use serde::Serialize;

use super::{Error, Nanos, Range, database};

/// The quoted spread in a bar, in YES cents: ask less bid, averaged over time. It is below zero
/// while a book is crossed, as it is for moments inside a burst of changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SpreadBar {
    /// The market.
    pub ticker: String,
    /// The bar's start; none where there is one bar.
    pub bar: Option<Nanos>,
    /// Seconds in which the book is known.
    pub live_s: f64,
    /// Seconds in which it also has both sides: the averages are over these.
    pub two_sided_s: f64,
    /// The mean, in cents.
    pub mean_cents: Option<f64>,
    /// The narrowest, in cents.
    pub min_cents: Option<f64>,
    /// The widest, in cents.
    pub max_cents: Option<f64>,
    /// The mean of spread over mid, in hundredths of a per cent.
    pub mean_bps_of_mid: Option<f64>,
    /// Pairs of bid and ask in the bar.
    pub quotes: i64,
}

pub(super) fn spread(
    connection: &Connection,
    ticker: &str,
    range: Range,
    every_ns: Option<i64>,
) -> Result<Vec<SpreadBar>, Error> {
    let fail = database::failed("ask for the spread");
    let mut statement = connection.prepare(include_str!("sql/spread.sql")).map_err(&fail)?;
    let params = duckdb::params![ticker, range.start(), range.end(), every_ns];
    let bars = statement.query_map(params, |row| {
        Ok(SpreadBar {
            ticker: ticker.to_owned(),
            bar: row.get::<_, Option<i64>>(0)?.map(Nanos),
            live_s: row.get(1)?,
            two_sided_s: row.get(2)?,
            mean_cents: row.get(3)?,
            min_cents: row.get(4)?,
            max_cents: row.get(5)?,
            mean_bps_of_mid: row.get(6)?,
            quotes: row.get(7)?,
        })
    });
    bars.and_then(Iterator::collect).map_err(fail)
}
