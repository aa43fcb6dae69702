//! Every hole of the archive in which messages were lost.

use duckdb::Connection;
use serde::Serialize;

use super::{Error, Nanos, database};

/// A hole of a session's record: a row of the view `gaps`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GapRow {
    /// `sequence` (numbers are missing), `negative` (a level would have gone below zero),
    /// `unreadable` (a message could not be read), `repeat` (numbers came again with other content),
    /// `ended` (the exchange ended the subscription) or `disconnected`.
    pub kind: String,
    /// The recording session.
    pub session: String,
    /// The connection.
    pub conn: i64,
    /// The subscription; none for a disconnection.
    pub sid: Option<i64>,
    /// What the subscription is for.
    pub channel: Option<String>,
    /// The number that should have come.
    pub expected: Option<i64>,
    /// The number that came.
    pub got: Option<i64>,
    /// Messages that never came, where numbers are missing.
    pub missing: Option<i64>,
    /// The last moment at which all was well; none where the recording has no times.
    pub ts_from: Option<Nanos>,
    /// When it was noticed.
    pub ts_found: Option<Nanos>,
    /// When each of its markets had a snapshot again; none where some never had.
    pub ts_repaired: Option<Nanos>,
    /// The recorder wrote it down.
    pub declared: bool,
    /// The frames themselves show it.
    pub found: bool,
    /// More, in words.
    pub cause: Option<String>,
    /// Number of markets whose book it made unsure.
    pub markets: i64,
    /// These markets, with blanks between.
    pub tickers: Option<String>,
}

pub(super) fn gaps(connection: &Connection) -> Result<Vec<GapRow>, Error> {
    let fail = database::failed("ask for the holes");
    let sql = "SELECT kind, session, conn, sid, channel, expected, got, missing, epoch_ns(ts_from),
                      epoch_ns(ts_found), epoch_ns(ts_repaired), declared, found, cause, markets,
                      array_to_string(tickers, ' ')
               FROM gaps";
    let mut statement = connection.prepare(sql).map_err(&fail)?;
    let rows = statement.query_map([], |row| {
        let time = |place| Ok::<_, duckdb::Error>(row.get::<_, Option<i64>>(place)?.map(Nanos));
        Ok(GapRow {
            kind: row.get(0)?,
            session: row.get(1)?,
            conn: row.get(2)?,
            sid: row.get(3)?,
            channel: row.get(4)?,
            expected: row.get(5)?,
            got: row.get(6)?,
            missing: row.get(7)?,
            ts_from: time(8)?,
            ts_found: time(9)?,
            ts_repaired: time(10)?,
            declared: row.get(11)?,
            found: row.get(12)?,
            cause: row.get(13)?,
            markets: row.get(14)?,
            tickers: row.get(15)?,
        })
    });
    rows.and_then(Iterator::collect).map_err(fail)
}
