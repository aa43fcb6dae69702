//! What was counted while recording, and the summary at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::{Serialize, Serializer};

use super::{config::Config, kinds::Kinds, writer::Written};
use crate::protocol::Channel;

/// Counters that all workers share. Workers add whole batches, so none is a hot spot.
#[derive(Debug)]
pub(super) struct Stats {
    start: Instant,
    pub(super) received: AtomicU64,
    /// Frames that are in the file.
    pub(super) written: AtomicU64,
    /// Messages that are no frames and are in the file as events.
    pub(super) rejected: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) missing: AtomicU64,
    pub(super) repeats: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) losses: AtomicU64,
    pub(super) stalled_ns: AtomicU64,
    by_kind: Mutex<Kinds>,
    unknown_markets: Mutex<Vec<String>>,
    books: Mutex<BTreeSet<String>>,
    last_refusal: Mutex<Option<String>>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            received: AtomicU64::default(),
            written: AtomicU64::default(),
            rejected: AtomicU64::default(),
            gaps: AtomicU64::default(),
            missing: AtomicU64::default(),
            repeats: AtomicU64::default(),
            connections: AtomicU64::default(),
            losses: AtomicU64::default(),
            stalled_ns: AtomicU64::default(),
            by_kind: Mutex::default(),
            unknown_markets: Mutex::default(),
            books: Mutex::default(),
            last_refusal: Mutex::default(),
        }
    }
}

impl Stats {
    pub(super) fn add_kinds(&self, kinds: &Kinds) {
        lock(&self.by_kind).extend(kinds);
    }

    pub(super) fn add_unknown_market(&self, ticker: &str) {
        let mut all = lock(&self.unknown_markets);
        if !all.iter().any(|known| known == ticker) {
            all.push(ticker.to_owned());
        }
    }

    /// Markets that had a snapshot.
    pub(super) fn add_books(&self, markets: &BTreeSet<String>) {
        lock(&self.books).extend(markets.iter().cloned());
    }

    pub(super) fn set_refusal(&self, cause: &str) {
        *lock(&self.last_refusal) = Some(cause.to_owned());
    }

    fn without_book(&self, config: &Config) -> Vec<String> {
        if !config.channels.contains(&Channel::OrderbookDelta) {
            return Vec::new();
        }
        let books = lock(&self.books);
        let markets = config.tickers.iter().map(ToString::to_string);
        markets.filter(|market| !books.contains(market)).collect()
    }

    /// Connections made and not lost.
    pub(super) fn live(&self) -> u64 {
        self.connections.load(Relaxed).saturating_sub(self.losses.load(Relaxed))
    }

    /// Messages that were received and are not in the file.
    pub(super) fn lost(&self) -> u64 {
        let kept = self.written.load(Relaxed) + self.rejected.load(Relaxed);
        self.received.load(Relaxed).saturating_sub(kept)
    }

    pub(super) fn last_refusal(&self) -> Option<String> {
        lock(&self.last_refusal).clone()
    }

    pub(super) fn summary(&self, session: String, written: Written, config: &Config) -> Summary {
        Summary {
            session,
            elapsed: self.start.elapsed(),
            markets: config.tickers.len(),
            unknown_markets: lock(&self.unknown_markets).clone(),
            without_book: self.without_book(config),
            by_kind: lock(&self.by_kind).as_map().clone(),
            received: self.received.load(Relaxed),
            written: self.written.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            bytes: written.bytes,
            segments: written.segments,
            connections: self.connections.load(Relaxed),
            losses: self.losses.load(Relaxed),
            gaps: self.gaps.load(Relaxed),
            missing: self.missing.load(Relaxed),
            repeats: self.repeats.load(Relaxed),
            stalled: Duration::from_nanos(self.stalled_ns.load(Relaxed)),
            queue_peak: written.queue_peak,
            files: written.files,
        }
    }
}

/// A counter is still right when another thread panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A look at a recording while it runs.
#[derive(Debug, Clone)]
pub struct Progress(pub(super) Arc<Stats>);

impl Progress {
    /// Messages taken from the sockets so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.received.load(Relaxed)
    }

    /// Gaps in sequence numbers so far.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.0.gaps.load(Relaxed)
    }

    /// Connections made and not lost.
    #[must_use]
    pub fn connected(&self) -> u64 {
        self.0.live()
    }
}

/// What a recording came to. `received = written + rejected`, always.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The session's id.
    pub session: String,
    /// How long it ran.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Markets asked for.
    pub markets: usize,
    /// Those that the exchange does not know.
    pub unknown_markets: Vec<String>,
    /// Those that never had a snapshot: refused, dark, or on a connection that was never made.
    pub without_book: Vec<String>,
    /// Messages by type; those without a type are under an empty name, those of more types than
    /// anybody reads under `(other)`.
    pub by_kind: BTreeMap<String, u64>,
    /// Messages taken from the sockets.
    pub received: u64,
    /// Messages on the tape as frames.
    pub written: u64,
    /// Messages that are no JSON; they are on the tape as `bad_frame` events.
    pub rejected: u64,
    /// Bytes of tape, before compression.
    pub bytes: u64,
    /// Segments sealed.
    pub segments: u64,
    /// Connections made.
    pub connections: u64,
    /// Those of them that were lost.
    pub losses: u64,
    /// Gaps in sequence numbers.
    pub gaps: u64,
    /// Messages that the gaps swallowed.
    pub missing: u64,
    /// Messages whose number had come before.
    pub repeats: u64,
    /// How long sockets were not read because the queue was full.
    #[serde(serialize_with = "seconds")]
    pub stalled: Duration,
    /// The most messages that waited for the logger at once; a large one counts for each KiB.
    pub queue_peak: usize,
    /// The segments, where they lie now.
    pub files: Vec<std::path::PathBuf>,
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

impl Summary {
    /// Whether the recording has a hole: a gap, a connection that was lost, a market that is unknown
    /// or never had a book.
    #[must_use]
    pub const fn has_holes(&self) -> bool {
        self.gaps > 0
            || self.losses > 0
            || !self.without_book.is_empty()
            || !self.unknown_markets.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.received as f64 / seconds.max(1e-9);
        writeln!(f, "recorded {} messages in {seconds:.1} s ({rate:.0}/s)", self.received)?;
        for (kind, count) in &self.by_kind {
            let kind = if kind.is_empty() { "(no type)" } else { kind };
            writeln!(f, "  {kind:<22} {count:>12}")?;
        }
        write!(f, "markets      {}", self.markets)?;
        list(f, "unknown to the exchange", &self.unknown_markets)?;
        list(f, "without a book", &self.without_book)?;
        writeln!(f)?;
        writeln!(
            f,
            "written      {} frames, {:.1} MB in {} segments; rejected {}",
            self.written,
            self.bytes as f64 / 1e6,
            self.segments,
            self.rejected,
        )?;
        writeln!(
            f,
            "holes        {} gaps ({} messages missing), {} lost connections, {} repeats",
            self.gaps, self.missing, self.losses, self.repeats,
        )?;
        write!(
            f,
            "queue        peak {} messages, stalled {:.1} s",
            self.queue_peak,
            self.stalled.as_secs_f64(),
        )
    }
}

/// Some names of a list that may be long, if there are any.
fn list(f: &mut fmt::Formatter<'_>, what: &str, markets: &[String]) -> fmt::Result {
    const SHOWN: usize = 5;
    if markets.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = markets.iter().take(SHOWN).map(String::as_str).collect();
    let more = if markets.len() > SHOWN { ", ..." } else { "" };
    write!(f, "; {} {what}: {}{more}", markets.len(), shown.join(", "))
}
