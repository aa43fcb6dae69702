//! Which holes an answer crosses.

use std::collections::{BTreeMap, BTreeSet};

use arrow::record_batch::RecordBatch;
use serde::Serialize;

use super::{Error, Nanos, Range, market::Market, replay, rows};

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

/// A time that is missing, and why.
type Missing = (i64, i64, &'static str);

/// The holes of a market within a range.
pub(super) fn holes(market: &Market<'_>, range: Range, of: Of) -> Result<Vec<Hole>, Error> {
    let mut holes = match of {
        Of::Book => book(market, range),
        Of::Trades => trades(market, range)?,
    };
    holes.sort_unstable();
    let cut = holes.into_iter().filter_map(|(from, to, reason)| {
        let (from, to) = (Nanos(from.max(range.start())), Nanos(to.min(range.end())));
        let ticker = market.ticker.clone();
        (from < to).then(|| Hole { ticker, from, to, reason: reason.to_owned() })
    });
    Ok(cut.collect())
}

/// The times between those in which the book is known, and after the last of them where the tape
/// goes on without it.
fn book(market: &Market<'_>, range: Range) -> Vec<Missing> {
    let (first_ns, last_ns) = market.recorded();
    let last_ns = last_ns.saturating_add(1);
    let live = market.live();
    let (Some(first), Some(last)) = (live.first(), live.last()) else {
        return vec![(
            range.from_ns.unwrap_or(first_ns),
            range.to_ns.unwrap_or(last_ns),
            "no order book of it was recorded",
        )];
    };
    let mut holes: Vec<Missing> = live
        .iter()
        .zip(live.iter().skip(1))
        .filter(|(before, after)| before.to_ns < after.from_ns)
        .map(|(before, after)| (before.to_ns, after.from_ns, replay::reason(&before.span.ended_by)))
        .collect();
    if last.to_ns < last_ns {
        holes.push((last.to_ns, last_ns, replay::reason(&last.span.ended_by)));
    }
    holes.extend(outside(range, first.from_ns, last.to_ns.max(last_ns)));
    holes
}

/// What of a range lies before and after everything recorded. One that only begins after it, or
/// only ends before it, is missing at that end.
fn outside(range: Range, first_ns: i64, last_ns: i64) -> impl Iterator<Item = Missing> {
    let (from, to) = (range.start(), range.end());
    let missed_start = range.from_ns.or_else(|| range.to_ns.map(|to| to.saturating_sub(1)));
    let missed_end = range.to_ns.or_else(|| range.from_ns.map(|from| from.saturating_add(1)));
    let before =
        missed_start.filter(|_| range.from_ns.is_some_and(|f| f < first_ns) || to <= first_ns);
    let before = before.map(|from| (from, first_ns.min(to), "it was not recorded yet"));
    let after = missed_end.filter(|_| range.to_ns.is_some_and(|t| t > last_ns) || from >= last_ns);
    let after = after.map(|to| (last_ns.max(from), to, "it was not recorded any more"));
    before.into_iter().chain(after)
}

/// The times between the connections that carried the trades, and those in which numbers of their
/// subscription are missing.
fn trades(market: &Market<'_>, range: Range) -> Result<Vec<Missing>, Error> {
    let carried: BTreeSet<(&str, i64)> =
        market.streams.values().map(|stream| (&*stream.session, stream.conn)).collect();
    let is_carried =
        |session: &str, conn: Option<i64>| carried.contains(&(session, conn.unwrap_or_default()));
    let mut subscribed: BTreeSet<(String, i64)> = BTreeSet::new();
    market.scan_all("stream", &["session", "conn", "channel"], |place, batch| {
        let channels = rows::texts(batch, "channel")?;
        each_conn(market, place, batch, |row, session, conn| {
            if rows::text(channels, row) == Some("trade") && is_carried(session, conn) {
                subscribed.insert((session.to_owned(), conn.unwrap_or_default()));
            }
        })
    })?;
    let (mut up, mut all, mut ends) = (Vec::new(), Vec::new(), BTreeMap::new());
    market.scan_all("connection", &["session", "conn", "first_ns", "end_ns"], |place, batch| {
        let (first, end) = (rows::times(batch, "first_ns")?, rows::times(batch, "end_ns")?);
        each_conn(market, place, batch, |row, session, conn| {
            let times = (first.get(row).copied(), end.get(row).copied());
            if let (true, (Some(first), Some(end))) = (is_carried(session, conn), times) {
                all.push((first, end));
                ends.insert((session.to_owned(), conn.unwrap_or_default()), end);
                if subscribed.contains(&(session.to_owned(), conn.unwrap_or_default())) {
                    up.push((first, end));
                }
            }
        })
    })?;
    let mut holes = Vec::new();
    let columns = &["kind", "session", "conn", "channel", "from_ns", "found_ns", "repaired_ns"];
    market.scan_all("hole", columns, |place, batch| {
        let (kinds, channels) = (rows::texts(batch, "kind")?, rows::texts(batch, "channel")?);
        let (from, found) = (rows::times(batch, "from_ns")?, rows::times(batch, "found_ns")?);
        let repaired = rows::whole(batch, "repaired_ns")?;
        each_conn(market, place, batch, |row, session, conn| {
            let kind = rows::text(kinds, row).unwrap_or_default();
            let is_trade = rows::text(channels, row) == Some("trade") && is_carried(session, conn);
            let times = (from.get(row), found.get(row));
            let (true, (Some(from), Some(found))) = (is_trade, times) else { return };
            // A message may be missing in the very instant at which the next one came.
            let found = found.saturating_add(1);
            match kind {
                "sequence" => holes.push((*from, found, replay::reason("gap"))),
                "unreadable" => holes.push((*from, found, replay::reason("unreadable"))),
                "ended" | "repeat" => {
                    let end = ends.get(&(session.to_owned(), conn.unwrap_or_default()));
                    let until = rows::get(repaired, row).or(end.copied()).unwrap_or(found);
                    holes.push((*from, until.max(found), replay::reason("ended")));
                }
                _ => {}
            }
        })
    })?;
    all.sort_unstable();
    up.sort_unstable();
    let (Some((first, _)), Some(last)) = (all.first(), all.iter().map(|(_, end)| *end).max())
    else {
        return Ok(holes);
    };
    // Where a connection that carried the market did not ask for trades, they are missing as well.
    let mut known_to = *first;
    for (from, to) in up.into_iter().chain([(last, last)]) {
        if from > known_to {
            let unasked = all.iter().any(|(first, end)| *first < from && *end > known_to);
            let reason = if unasked {
                "its trades were not recorded"
            } else {
                replay::reason("disconnected")
            };
            holes.push((known_to, from, reason));
        }
        known_to = known_to.max(to);
    }
    holes.extend(outside(range, *first, last));
    Ok(holes)
}

/// Gives the session and the connection of each row to `take`, of the lake in which they count.
fn each_conn(
    market: &Market<'_>,
    place: usize,
    batch: &RecordBatch,
    mut take: impl FnMut(usize, &str, Option<i64>),
) -> Result<(), Error> {
    let (sessions, conns) = (rows::texts(batch, "session")?, rows::whole(batch, "conn")?);
    for row in 0..batch.num_rows() {
        let session = rows::text(sessions, row).unwrap_or_default();
        if market.counts(place, session) {
            take(row, session, rows::get(conns, row));
        }
    }
    Ok(())
}
