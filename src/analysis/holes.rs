//! Which holes an answer crosses.

use duckdb::Connection;
use serde::Serialize;

use super::{Error, Nanos, Range, database, replay};

/// Rows, and what is missing under them.
#[derive(Debug, Clone)]
pub struct Answer<Row> {
    /// The answer.
    pub rows: Vec<Row>,
    /// The holes that its range crosses, oldest first; empty where it is whole.
    pub holes: Vec<Hole>,
}

/// A time of which the tape does not know all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// The market.
    pub ticker: String,
    /// From when.
    pub from: Nanos,
    /// Until when.
    pub to: Nanos,
    /// Why.
    pub reason: String,
}

/// What an answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Book,
    Trades,
}

/// The holes of a market within a range.
pub(super) fn holes(
    connection: &Connection,
    ticker: &str,
    range: Range,
    of: Of,
) -> Result<Vec<Hole>, Error> {
    let sql = match of {
        Of::Book => include_str!("sql/book_holes.sql"),
        Of::Trades => include_str!("sql/trade_holes.sql"),
    };
    let fail = database::failed("ask for the holes of a market");
    let mut statement = connection.prepare(sql).map_err(&fail)?;
    let found = statement.query_map([ticker], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
    });
    let found: Vec<_> = found.and_then(Iterator::collect).map_err(&fail)?;
    let mut holes: Vec<(i64, i64, String)> = found
        .into_iter()
        .map(|(from, to, ended_by)| (from, to, replay::reason(&ended_by).to_owned()))
        .collect();
    holes.extend(outside(connection, ticker, range, of)?);
    holes.sort();
    let cut = holes.into_iter().filter_map(|(from, to, reason)| {
        let (from, to) = (from.max(range.start()), to.min(range.end()));
        let (from, to) = (Nanos(from), Nanos(to));
        (from < to).then(|| Hole { ticker: ticker.to_owned(), from, to, reason })
    });
    Ok(cut.collect())
}

/// What of a range lies before and after everything recorded.
fn outside(
    connection: &Connection,
    ticker: &str,
    range: Range,
    of: Of,
) -> Result<Vec<(i64, i64, String)>, Error> {
    let fail = database::failed("ask when a market is recorded");
    let sql = match of {
        Of::Book => "SELECT min(from_ns), max(to_ns) FROM lake.span WHERE ticker = $1",
        Of::Trades => {
            "SELECT min(c.first_ns), max(c.end_ns) FROM lake.presence p
             JOIN lake.stream s USING (stream)
             JOIN lake.connection c ON c.session = s.session AND c.conn = s.conn
             WHERE p.ticker = $1"
        }
    };
    let ends: (Option<i64>, Option<i64>) =
        connection.query_row(sql, [ticker], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fail)?;
    let (Some(first), Some(last)) = ends else { return Ok(Vec::new()) };
    let mut outside = Vec::new();
    if let Some(from) = range.from_ns.filter(|from| *from < first) {
        outside.push((from, first, "it was not recorded yet".to_owned()));
    }
    if let Some(to) = range.to_ns.filter(|to| *to > last) {
        outside.push((last, to, "it was not recorded any more".to_owned()));
    }
    Ok(outside)
}
