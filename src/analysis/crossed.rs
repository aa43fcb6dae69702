//! Which holes an export crosses: those of many markets at once.

use duckdb::Connection;

use super::{Error, Hole, Nanos, Range, Table, database, replay};

/// The holes of the chosen markets (`None`: all) within a range, oldest first. What lies outside of
/// all that is recorded counts where a market is `named`, and so does what was never asked for of it.
pub(super) fn crossed(
    connection: &Connection,
    table: Table,
    tickers: Option<&[String]>,
    range: Range,
    named: bool,
) -> Result<Vec<Hole>, Error> {
    let channel = match table {
        Table::BookEvents | Table::Bbo => None,
        Table::Trades => Some("trade"),
        Table::TickerData => Some("ticker"),
        Table::Lifecycle => Some("market_lifecycle_v2"),
        Table::Markets | Table::Gaps | Table::Coverage | Table::Spans | Table::Sessions => {
            return Ok(Vec::new());
        }
    };
    let chosen = match tickers {
        None => "SELECT DISTINCT ticker FROM lake.presence".to_owned(),
        Some(tickers) => {
            let names: Vec<String> = tickers.iter().map(|t| database::quoted(t)).collect();
            format!("SELECT unnest([{}]::VARCHAR[])", names.join(", "))
        }
    };
    let sql = include_str!("sql/crossed.sql");
    let sql = sql.replacen("WITH live", &format!("WITH chosen(ticker) AS ({chosen}), live"), 1);
    let (from, to) = if named { (range.from_ns, range.to_ns) } else { (None, None) };
    let fail = database::failed("ask for the holes that an export crosses");
    let mut statement = connection.prepare(&sql).map_err(&fail)?;
    let found = statement.query_map(duckdb::params![channel, from, to], |row| {
        let (from, to): (i64, i64) = (row.get(1)?, row.get(2)?);
        let reason: String = row.get(3)?;
        Ok((from, to, row.get(0)?, reason))
    });
    let mut found: Vec<(i64, i64, String, String)> =
        found.and_then(Iterator::collect).map_err(&fail)?;
    found.sort();
    found.retain(|(.., reason)| named || reason != "unasked");
    let cut = found.into_iter().filter_map(|(from, to, ticker, reason)| {
        let (from, to) = (Nanos(from.max(range.start())), Nanos(to.min(range.end())));
        let reason = match reason.as_str() {
            "before" => "it was not recorded yet",
            "after" => "it was not recorded any more",
            "unasked" => "this was not recorded of it",
            ended_by => replay::reason(ended_by),
        };
        (from < to).then(|| Hole { ticker, from, to, reason: reason.to_owned() })
    });
    Ok(cut.collect())
}
