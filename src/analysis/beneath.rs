//! Which holes are beneath a query in SQL.

use duckdb::Connection;

use super::{
    Error, Hole,
    database::{self, quoted},
    holes::Of,
};

/// What is missing in what a query reads. Whether its answer crosses that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beneath {
    /// The holes of markets that macros are asked about, oldest first.
    pub of_markets: Vec<Hole>,
    /// How often messages were lost of what the other rows are made of: rows of the view `gaps`.
    pub gaps: u64,
    /// How often nothing was recorded between two sessions.
    pub pauses: u64,
}

impl Beneath {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of_markets.is_empty() && (self.gaps, self.pauses) == (0, 0)
    }
}

/// How often messages of some channels were lost, and how often nothing was recorded.
pub(super) fn beneath(connection: &Connection, of: &[Of]) -> Result<(u64, u64), Error> {
    if of.is_empty() {
        return Ok((0, 0));
    }
    let channels: Vec<String> = of.iter().map(|of| quoted(of.channel())).collect();
    let sql = format!(
        "SELECT (SELECT count(*) FROM lake.hole
                 WHERE channel IS NULL OR channel IN ({})),
                (SELECT count(*) FROM (
                     SELECT first_ns, max(last_ns) OVER (ORDER BY first_ns ROWS
                            BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_ns
                     FROM lake.session WHERE first_ns > 0)
                 WHERE first_ns > before_ns)",
        channels.join(", ")
    );
    let fail = database::failed("ask for the holes that a query may cross");
    connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fail)
}
