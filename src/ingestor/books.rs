//! Which markets' books are known on a connection, and for which a snapshot is due.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

/// A chunk of markets holds the next one back until its snapshots are there, but not longer than
/// this after the last of them.
const HOLD: Duration = Duration::from_secs(2);

/// The books of one connection.
#[derive(Debug)]
pub(super) struct Books {
    /// Markets that had a snapshot on the present subscription.
    known: BTreeSet<String>,
    /// Markets that had one on this connection at all.
    seen: BTreeSet<String>,
    /// Markets whose snapshot was asked for, and when.
    due: BTreeMap<String, Instant>,
    /// Markets to ask a snapshot for.
    suspect: VecDeque<String>,
    repair: Option<Repair>,
    last_asked: Instant,
    last_snapshot: Option<Instant>,
}

/// After a gap: the markets that had a snapshot before it and none yet after it.
#[derive(Debug)]
struct Repair {
    sid: u64,
    waiting: BTreeSet<String>,
    markets: usize,
    since: Instant,
}

/// What to do about snapshots that do not come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Nothing,
    /// Some came, so the connection is alive: these are asked for again.
    Dark {
        markets: usize,
        first: String,
    },
    /// None came at all.
    Dead,
}

impl Books {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            known: BTreeSet::new(),
            seen: BTreeSet::new(),
            due: BTreeMap::new(),
            suspect: VecDeque::new(),
            repair: None,
            last_asked: now,
            last_snapshot: None,
        }
    }

    /// Markets were subscribed to. Those already held send no snapshot again.
    pub(super) fn subscribed(&mut self, markets: Vec<String>, now: Instant) {
        let new = markets.into_iter().filter(|market| !self.known.contains(market));
        self.due.extend(new.map(|market| (market, now)));
        self.last_asked = now;
    }

    /// Markets were refused: no snapshot is due.
    pub(super) fn refused(&mut self, markets: &[String]) {
        for market in markets {
            self.due.remove(market);
            self.mended(market);
        }
    }

    /// A snapshot came. Returns the repaired subscription, with its number of markets, if this was
    /// the last snapshot it waited for.
    pub(super) fn snapshot(&mut self, market: &str, now: Instant) -> Option<(u64, usize)> {
        self.last_snapshot = Some(now);
        self.due.remove(market);
        self.known.insert(market.to_owned());
        self.seen.insert(market.to_owned());
        self.mended(market)
    }

    fn mended(&mut self, market: &str) -> Option<(u64, usize)> {
        let repair = self.repair.as_mut()?;
        let repaired = (repair.sid, repair.markets);
        if repair.waiting.remove(market) && repair.waiting.is_empty() {
            self.repair = None;
            return Some(repaired);
        }
        None
    }

    /// After a gap: none of these books can be trusted.
    pub(super) fn suspect(&mut self, sid: u64, markets: BTreeSet<String>, now: Instant) {
        self.suspect = markets.iter().cloned().collect();
        let count = markets.len();
        self.repair =
            (count > 0).then_some(Repair { sid, waiting: markets, markets: count, since: now });
    }

    /// The subscription is gone, and with it what was known.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.due.clear();
        self.suspect.clear();
        self.repair = None;
    }

    /// The next markets to ask a snapshot for.
    pub(super) fn next_suspects(&mut self, most: usize, now: Instant) -> Vec<String> {
        let markets: Vec<_> = self.suspect.drain(..most.min(self.suspect.len())).collect();
        self.due.extend(markets.iter().cloned().map(|market| (market, now)));
        if !markets.is_empty() {
            self.last_asked = now;
        }
        markets
    }

    /// Whether the snapshots of one command are still coming in, so that the next should wait.
    pub(super) fn are_coming(&self, now: Instant) -> bool {
        let last = self.last_snapshot.map_or(self.last_asked, |last| last.max(self.last_asked));
        !self.due.is_empty() && now.saturating_duration_since(last) < HOLD
    }

    /// Looks for snapshots that are due for longer than `limit`.
    pub(super) fn overdue(&mut self, now: Instant, limit: Duration) -> Overdue {
        let late = |since: &Instant| now.saturating_duration_since(*since) >= limit;
        if !self.due.values().any(late) {
            return Overdue::Nothing;
        }
        let since = self.repair.as_ref().map(|repair| repair.since);
        let none_since = |since| self.last_snapshot.is_none_or(|last| last < since);
        if self.known.is_empty() || since.is_some_and(none_since) {
            return Overdue::Dead;
        }
        let dark: Vec<String> =
            self.due.extract_if(.., |_, since| late(since)).map(|d| d.0).collect();
        let first = dark.first().cloned().unwrap_or_default();
        let markets = dark.len();
        self.suspect.extend(dark);
        Overdue::Dark { markets, first }
    }

    /// Markets that had a snapshot on this connection.
    pub(super) const fn seen(&self) -> &BTreeSet<String> {
        &self.seen
    }
}
