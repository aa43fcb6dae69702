//! How much of each hour is known.

use duckdb::Connection;
use serde::Serialize;

use super::{Error, Nanos, database};

/// An hour of a market: a row of the view `coverage`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CoverageRow {
    /// The market.
    pub ticker: String,
    /// Its series.
    pub series: String,
    /// The hour's start.
    pub hour: Nanos,
    /// Seconds in which its book is known to be right.
    pub live_s: f64,
    /// Seconds between its first and last known moment in which it is not.
    pub hole_s: f64,
    /// Holes that fall into the hour.
    pub holes: i64,
}

pub(super) fn coverage(connection: &Connection) -> Result<Vec<CoverageRow>, Error> {
    let fail = database::failed("ask for the coverage");
    let sql = "SELECT ticker, series, epoch_ns(hour), live_s, hole_s, holes FROM coverage";
    let mut statement = connection.prepare(sql).map_err(&fail)?;
    let rows = statement.query_map([], |row| {
        Ok(CoverageRow {
            ticker: row.get(0)?,
            series: row.get(1)?,
            hour: Nanos(row.get(2)?),
            live_s: row.get(3)?,
            hole_s: row.get(4)?,
            holes: row.get(5)?,
        })
    });
    rows.and_then(Iterator::collect).map_err(fail)
}
