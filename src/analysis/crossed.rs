//! Which holes an export crosses: what the rules need to know, of many markets at once.

use std::collections::BTreeMap;

use duckdb::{Connection, Row};

use super::{
    Error, Hole, Range,
    database::{self, quoted},
    holes::{self, Carried, Known, Missing, Of},
};

/// The holes of the chosen markets (`None`: all) within a range, oldest first, but for what lies
/// outside of all that is recorded of one.
pub(super) fn crossed(
    connection: &Connection,
    of: Of,
    tickers: Option<&[String]>,
    range: Range,
) -> Result<Vec<Hole>, Error> {
    let chosen = match tickers {
        None => "SELECT DISTINCT ticker FROM lake.presence".to_owned(),
        Some(tickers) => {
            let names: Vec<String> = tickers.iter().map(|t| quoted(t)).collect();
            format!("SELECT unnest([{}]::VARCHAR[])", names.join(", "))
        }
    };
    let missing = match of {
        Of::Book => books(connection, &chosen, range),
        Of::Trades | Of::Tickers | Of::Lifecycle => channels(connection, &chosen, range, of),
    };
    let missing = missing.map_err(database::failed("ask for the holes that are crossed"))?;
    let mut holes = Vec::new();
    for (ticker, mut missing) in missing {
        missing.retain(|missing| !missing.is_outside);
        holes.extend(holes::within(&ticker, range, missing));
    }
    holes.sort_by(|a, b| (a.from, a.to, &a.ticker).cmp(&(b.from, b.to, &b.ticker)));
    Ok(holes)
}

/// What is missing of each market.
type OfMarkets = BTreeMap<String, Vec<Missing>>;

fn books(connection: &Connection, chosen: &str, range: Range) -> duckdb::Result<OfMarkets> {
    let mut markets: BTreeMap<String, Known> = BTreeMap::new();
    let sql = include_str!("sql/crossed_book.sql");
    each(connection, chosen, sql, &[], |row| {
        let market = markets.entry(row.get(0)?).or_default();
        market.recorded = (row.get(1)?, row.get(2)?);
        if let Some(from_ns) = row.get(3)? {
            market.live.push((from_ns, row.get(4)?, row.get(5)?));
        }
        Ok(())
    })?;
    let missing = |(ticker, market): (String, Known)| (ticker, market.missing(range));
    Ok(markets.into_iter().map(missing).collect())
}

fn channels(
    connection: &Connection,
    chosen: &str,
    range: Range,
    of: Of,
) -> duckdb::Result<OfMarkets> {
    let mut markets: BTreeMap<String, Carried> = BTreeMap::new();
    let sql = include_str!("sql/crossed_channel.sql");
    each(connection, chosen, sql, &[of.channel()], |row| {
        let (first_ns, end_ns, is_asked) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let market = markets.entry(row.get(0)?).or_default();
        market.connections.push(holes::Connection { first_ns, end_ns, is_asked });
        if let Some(kind) = row.get::<_, Option<String>>(4)? {
            let times = (row.get(5)?, row.get(6)?);
            market.lost.extend(Missing::lost(&kind, times, row.get(7)?, Some(end_ns)));
        }
        Ok(())
    })?;
    let missing = |(ticker, market): (String, Carried)| (ticker, market.missing(range, of));
    Ok(markets.into_iter().map(missing).collect())
}

/// Asks about the chosen markets.
fn each(
    connection: &Connection,
    chosen: &str,
    sql: &str,
    parameters: &[&str],
    mut take: impl FnMut(&Row<'_>) -> duckdb::Result<()>,
) -> duckdb::Result<()> {
    let sql = sql.replacen("WITH ", &format!("WITH chosen(ticker) AS ({chosen}), "), 1);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(duckdb::params_from_iter(parameters))?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}
