//! Which holes an answer crosses: the rules, and what they need to know of one market.

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
    Tickers,
    Lifecycle,
}

/// A time that is missing, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Missing {
    from_ns: i64,
    to_ns: i64,
    reason: &'static str,
    /// It lies outside of all that was recorded of this kind.
    pub(super) is_outside: bool,
}

/// When the book of a market is known.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The first and last record of the market.
    pub(super) recorded: (i64, i64),
    /// From when and until when, and what ended it; oldest first and without overlap.
    pub(super) live: Vec<(i64, i64, String)>,
}

/// How a market and a channel of it were recorded.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) connections: Vec<Connection>,
    pub(super) lost: Vec<Missing>,
}

/// A connection that carried a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Connection {
    pub(super) first_ns: i64,
    pub(super) end_ns: i64,
    /// The channel was asked for on it.
    pub(super) is_asked: bool,
}

/// The holes of a market within a range.
pub(super) fn holes(market: &Market<'_>, range: Range, of: Of) -> Result<Vec<Hole>, Error> {
    let missing = match of {
        Of::Book => known(market).missing(range),
        Of::Trades | Of::Tickers | Of::Lifecycle => carried(market, of)?.missing(range, of),
    };
    Ok(within(market.ticker(), range, missing))
}

/// What of the times that are missing of a market lies in a range, oldest first.
pub(super) fn within(ticker: &str, range: Range, mut missing: Vec<Missing>) -> Vec<Hole> {
    missing.sort_unstable();
    let cut = missing.into_iter().filter_map(|Missing { from_ns, to_ns, reason, .. }| {
        let (from, to) = (Nanos(from_ns.max(range.start())), Nanos(to_ns.min(range.end())));
        let (ticker, reason) = (ticker.to_owned(), reason.to_owned());
        (from < to).then_some(Hole { ticker, from, to, reason })
    });
    cut.collect()
}

impl Of {
    /// The exchange's name of it.
    pub(super) const fn channel(self) -> &'static str {
        match self {
            Self::Book => "orderbook_delta",
            Self::Trades => "trade",
            Self::Tickers => "ticker",
            Self::Lifecycle => "market_lifecycle_v2",
        }
    }

    const fn unasked(self) -> &'static str {
        match self {
            Self::Book => "no order book of it was recorded",
            Self::Trades => "its trades were not recorded",
            Self::Tickers => "its ticker messages were not recorded",
            Self::Lifecycle => "its lifecycle was not recorded",
        }
    }
}

impl Missing {
    const fn within(from_ns: i64, to_ns: i64, reason: &'static str) -> Self {
        Self { from_ns, to_ns, reason, is_outside: false }
    }

    const fn outside(from_ns: i64, to_ns: i64, reason: &'static str) -> Self {
        Self { from_ns, to_ns, reason, is_outside: true }
    }

    /// What a hole of a channel takes away, on a connection that ended then.
    pub(super) fn lost(
        kind: &str,
        (from_ns, found_ns): (i64, i64),
        repaired_ns: Option<i64>,
        end_ns: Option<i64>,
    ) -> Option<Self> {
        // A message may be missing in the very instant at which the next one came.
        let found_ns = found_ns.saturating_add(1);
        let (to_ns, ended_by) = match kind {
            "sequence" => (found_ns, "gap"),
            "unreadable" => (found_ns, "unreadable"),
            "ended" | "repeat" => {
                (repaired_ns.or(end_ns).unwrap_or(found_ns).max(found_ns), "ended")
            }
            _ => return None,
        };
        Some(Self::within(from_ns, to_ns, replay::reason(ended_by)))
    }
}

impl Known {
    /// The times between those in which the book is known, and after the last of them where the
    /// tape goes on without it.
    pub(super) fn missing(&self, range: Range) -> Vec<Missing> {
        let (first_ns, last_ns) = self.recorded;
        let last_ns = last_ns.saturating_add(1);
        let (Some((first_live_ns, ..)), Some((_, last_live_ns, ended_by))) =
            (self.live.first(), self.live.last())
        else {
            let (from, to) = (range.from_ns.unwrap_or(first_ns), range.to_ns.unwrap_or(last_ns));
            return vec![Missing::outside(from, to, Of::Book.unasked())];
        };
        let pairs = self.live.iter().zip(self.live.iter().skip(1));
        let mut missing: Vec<Missing> = pairs
            .filter(|((_, before, _), (after, ..))| before < after)
            .map(|((_, before, why), (after, ..))| {
                Missing::within(*before, *after, replay::reason(why))
            })
            .collect();
        if *last_live_ns < last_ns {
            missing.push(Missing::within(*last_live_ns, last_ns, replay::reason(ended_by)));
        }
        missing.extend(outside(range, *first_live_ns, last_ns.max(*last_live_ns)));
        missing
    }
}

impl Carried {
    /// The times between the connections that carried the channel, and those in which messages of
    /// it are missing.
    pub(super) fn missing(mut self, range: Range, of: Of) -> Vec<Missing> {
        self.connections.sort_unstable();
        let (all, mut missing) = (self.connections, self.lost);
        let last = all.iter().map(|connection| connection.end_ns).max();
        let (Some(first), Some(last_ns)) = (all.first(), last) else { return missing };
        let mut known_to = first.first_ns;
        let mut is_begun = false;
        let asked = all.iter().filter(|connection| connection.is_asked);
        let times = asked.map(|asked| (asked.first_ns, asked.end_ns, true));
        for (from_ns, to_ns, is_asked) in times.chain([(last_ns, last_ns, false)]) {
            if from_ns > known_to {
                // Where a connection carried the market without it, it is missing as well.
                let overlaps = |c: &Connection| c.first_ns < from_ns && c.end_ns > known_to;
                let reason = if all.iter().any(overlaps) {
                    of.unasked()
                } else {
                    replay::reason("disconnected")
                };
                let is_outside = !(is_begun && is_asked);
                missing.push(Missing { from_ns: known_to, to_ns: from_ns, reason, is_outside });
            }
            known_to = known_to.max(to_ns);
            is_begun |= is_asked;
        }
        missing.extend(outside(range, first.first_ns, last_ns));
        missing
    }
}

/// What of a range lies before and after everything recorded. One that only begins after it, or
/// only ends before it, is missing at that end.
fn outside(range: Range, first_ns: i64, last_ns: i64) -> impl Iterator<Item = Missing> {
    let (from, to) = (range.start(), range.end());
    let missed_start = range.from_ns.or_else(|| range.to_ns.map(|to| to.saturating_sub(1)));
    let missed_end = range.to_ns.or_else(|| range.from_ns.map(|from| from.saturating_add(1)));
    let before =
        missed_start.filter(|_| range.from_ns.is_some_and(|f| f < first_ns) || to <= first_ns);
    let before =
        before.map(|from| Missing::outside(from, first_ns.min(to), "it was not recorded yet"));
    let after = missed_end.filter(|_| range.to_ns.is_some_and(|t| t > last_ns) || from >= last_ns);
    let after =
        after.map(|to| Missing::outside(last_ns.max(from), to, "it was not recorded any more"));
    before.into_iter().chain(after)
}

/// When the book of one market is known.
fn known(market: &Market<'_>) -> Known {
    let live = market.live().into_iter();
    let live = live.map(|piece| (piece.from_ns, piece.to_ns, piece.span.ended_by.clone()));
    Known { recorded: market.recorded(), live: live.collect() }
}

/// How one market and a channel of it were recorded.
fn carried(market: &Market<'_>, of: Of) -> Result<Carried, Error> {
    let carriers: BTreeSet<(&str, i64)> =
        market.streams.values().map(|stream| (&*stream.session, stream.conn)).collect();
    let mut asked: BTreeSet<(String, i64)> = BTreeSet::new();
    market.source.scan_all("stream", &["session", "conn", "channel"], |place, batch| {
        let channels = rows::texts(batch, "channel")?;
        each_conn(market, place, batch, |row, session, conn| {
            if rows::text(channels, row) == Some(of.channel()) {
                asked.insert((session.to_owned(), conn));
            }
        })
    })?;
    let (mut carried, mut ends) = (Carried::default(), BTreeMap::new());
    market.source.scan_all(
        "connection",
        &["session", "conn", "first_ns", "end_ns"],
        |place, batch| {
            let (first, end) = (rows::times(batch, "first_ns")?, rows::times(batch, "end_ns")?);
            each_conn(market, place, batch, |row, session, conn| {
                let times = (first.get(row), end.get(row));
                let (true, (Some(first_ns), Some(end_ns))) =
                    (carriers.contains(&(session, conn)), times)
                else {
                    return;
                };
                let name = (session.to_owned(), conn);
                // The lifecycle of all markets comes on one connection of a session.
                let is_asked = of == Of::Lifecycle || asked.contains(&name);
                let (first_ns, end_ns) = (*first_ns, *end_ns);
                carried.connections.push(Connection { first_ns, end_ns, is_asked });
                ends.insert(name, end_ns);
            })
        },
    )?;
    let columns = &["kind", "session", "conn", "channel", "from_ns", "found_ns", "repaired_ns"];
    market.source.scan_all("hole", columns, |place, batch| {
        let (kinds, channels) = (rows::texts(batch, "kind")?, rows::texts(batch, "channel")?);
        let (from, found) = (rows::times(batch, "from_ns")?, rows::times(batch, "found_ns")?);
        let repaired = rows::whole(batch, "repaired_ns")?;
        each_conn(market, place, batch, |row, session, conn| {
            let is_of = rows::text(channels, row) == Some(of.channel());
            let times = (from.get(row), found.get(row));
            let (true, (Some(from), Some(found))) = (is_of, times) else { return };
            if !carriers.contains(&(session, conn)) {
                return;
            }
            let kind = rows::text(kinds, row).unwrap_or_default();
            let end = ends.get(&(session.to_owned(), conn)).copied();
            let lost = Missing::lost(kind, (*from, *found), rows::get(repaired, row), end);
            carried.lost.extend(lost);
        })
    })?;
    Ok(carried)
}

/// Gives the session and the connection of each row to `take`, of the lake in which they count.
fn each_conn(
    market: &Market<'_>,
    place: usize,
    batch: &RecordBatch,
    mut take: impl FnMut(usize, &str, i64),
) -> Result<(), Error> {
    let (sessions, conns) = (rows::texts(batch, "session")?, rows::whole(batch, "conn")?);
    for row in 0..batch.num_rows() {
        let session = rows::text(sessions, row).unwrap_or_default();
        if market.source.counts(place, session) {
            take(row, session, rows::get(conns, row).unwrap_or_default());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_missing_between_its_connections_and_around_them_where_others_were_up() {
        let up = |first_ns, end_ns, is_asked| Connection { first_ns, end_ns, is_asked };
        let missing = |connections: &[Connection]| {
            let carried = Carried { connections: connections.to_vec(), lost: Vec::new() };
            let missing = carried.missing(Range::default(), Of::Trades).into_iter();
            missing.map(|m| (m.from_ns, m.to_ns, m.reason, m.is_outside)).collect::<Vec<_>>()
        };
        let (down, unasked) = (replay::reason("disconnected"), Of::Trades.unasked());
        assert_eq!(missing(&[up(5, 9, true), up(0, 6, true)]), []);
        assert_eq!(missing(&[up(0, 4, true), up(6, 9, true)]), [(4, 6, down, false)]);
        assert_eq!(
            missing(&[up(0, 4, false), up(4, 6, true), up(7, 8, false), up(9, 12, true)]),
            [(0, 4, unasked, true), (6, 9, unasked, false)]
        );
        assert_eq!(
            missing(&[up(0, 4, true), up(6, 9, false)]),
            [(4, 9, unasked, true)],
            "asked for no more"
        );
        assert_eq!(missing(&[up(0, 4, false)]), [(0, 4, unasked, true)]);
    }
}
