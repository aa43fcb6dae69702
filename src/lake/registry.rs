//! Numbers for the names that rows repeat: markets, sessions, streams, spans, holes.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::table::Rows;
use crate::protocol::Ticker;

/// Shared by all digesters of an analysis, so that numbers mean the same in all tables.
#[derive(Debug, Default)]
pub(super) struct Registry {
    markets: Mutex<Numbers>,
    sessions: Mutex<Numbers>,
    streams: AtomicU32,
    spans: AtomicU32,
    holes: AtomicU32,
}

#[derive(Debug, Default)]
struct Numbers {
    by_name: HashMap<Box<str>, u32>,
    /// Names that have no row yet.
    fresh: Vec<(u32, Box<str>)>,
}

impl Numbers {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.by_name.get(name) {
            return number;
        }
        let number = u32::try_from(self.by_name.len()).unwrap_or(u32::MAX);
        self.by_name.insert(name.into(), number);
        self.fresh.push((number, name.into()));
        number
    }
}

impl Registry {
    /// The market's number.
    pub(super) fn market(&self, ticker: &str) -> u32 {
        lock(&self.markets).number(ticker)
    }

    /// The session's number.
    pub(super) fn session(&self, name: &str) -> u32 {
        lock(&self.sessions).number(name)
    }

    pub(super) fn next_stream(&self) -> u32 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn next_span(&self) -> u32 {
        self.spans.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn next_hole(&self) -> u32 {
        self.holes.fetch_add(1, Ordering::Relaxed)
    }

    /// Rows for the markets named since the last call.
    pub(super) fn take_markets(&self, rows: &mut Rows) {
        for (number, name) in lock(&self.markets).fresh.drain(..) {
            rows.Markets.market.push(number);
            rows.Markets.ticker.push(Some(&name));
            rows.Markets.series.push(Some(Ticker::series_of(&name)));
            rows.Markets.end_row();
        }
    }
}

/// A poisoned lock still holds whole numbers: nothing here can stop half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
