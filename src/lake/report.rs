//! What became of each line.

use std::{collections::BTreeMap, path::PathBuf};

/// What a frame was taken for. Each frame is counted under exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Outcome {
    /// `orderbook_snapshot`.
    Snapshot,
    /// `orderbook_delta`.
    Delta,
    /// `ticker`.
    Ticker,
    /// `trade`.
    Trade,
    /// Lifecycle of a market or an event.
    Lifecycle,
    /// A reply to a command: `subscribed`, `ok`, `unsubscribed`, `error`.
    Reply,
    /// A type without a table: private channels, reference prices, unknown ones.
    Other,
    /// A number that had come before; not applied a second time.
    Repeat,
    /// A known type whose message cannot be read, or is of another protocol.
    Unreadable,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 9] = [
        Self::Snapshot,
        Self::Delta,
        Self::Ticker,
        Self::Trade,
        Self::Lifecycle,
        Self::Reply,
        Self::Other,
        Self::Repeat,
        Self::Unreadable,
    ];

    /// A word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshots",
            Self::Delta => "deltas",
            Self::Ticker => "tickers",
            Self::Trade => "trades",
            Self::Lifecycle => "lifecycle",
            Self::Reply => "replies",
            Self::Other => "other",
            Self::Repeat => "repeats",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Counts of lines; `lines` is the sum of the next five, and `frames` the sum of the outcomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// All lines.
    pub lines: u64,
    /// Frames of the exchange.
    pub frames: u64,
    /// Events of the recorder.
    pub events: u64,
    /// Lines of white space.
    pub blank: u64,
    /// A last line that was cut.
    pub torn: u64,
    /// Lines that are no record.
    pub rubbish: u64,
    /// Bytes of text.
    pub bytes: u64,
    outcomes: [u64; Outcome::ALL.len()],
}

impl Counts {
    /// Frames of an outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        self.frames += 1;
        if let Some(count) = self.outcomes.get_mut(outcome as usize) {
            *count += 1;
        }
    }

    /// Whether every line, and every frame, is counted under exactly one heading.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.lines == self.frames + self.events + self.blank + self.torn + self.rubbish
            && self.frames == self.outcomes.iter().sum::<u64>()
    }

    fn merge(&mut self, other: &Self) {
        self.lines += other.lines;
        self.frames += other.frames;
        self.events += other.events;
        self.blank += other.blank;
        self.torn += other.torn;
        self.rubbish += other.rubbish;
        self.bytes += other.bytes;
        for (mine, other) in self.outcomes.iter_mut().zip(other.outcomes) {
            *mine += other;
        }
    }
}

/// How often something odd was met, and where first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// How often.
    pub count: u64,
    /// The first file.
    pub path: PathBuf,
    /// The first line in it, from 1.
    pub line: u64,
    /// What was wrong with it.
    pub reason: String,
}

/// What was found in one file.
#[derive(Debug, Clone, Default)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// The session it belongs to.
    pub session: String,
    /// Its lines.
    pub counts: Counts,
    /// Oddities by kind.
    pub oddities: BTreeMap<String, Example>,
    /// Why the file could not be read to its end.
    pub damage: Option<String>,
}

impl SegmentReport {
    /// Counts an oddity; `reason` is asked for the first time only.
    pub(super) fn note(&mut self, kind: &str, line: u64, reason: impl FnOnce() -> String) {
        if let Some(example) = self.oddities.get_mut(kind) {
            example.count += 1;
            return;
        }
        let example = Example { count: 1, path: self.path.clone(), line, reason: reason() };
        self.oddities.insert(kind.to_owned(), example);
    }
}

/// What was found in a log folder.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// File by file, in the order of their names.
    pub segments: Vec<SegmentReport>,
    /// What was not read: files that are no recordings by their name, and what cannot be looked
    /// into.
    pub foreign: Vec<PathBuf>,
    /// Files that had been loaded before; not read again.
    pub known: Vec<PathBuf>,
    /// Why the lake was built anew, if it was.
    pub renewed: Option<String>,
    /// Segments that were digested earlier, and are no longer there.
    pub gone: Vec<PathBuf>,
    /// How many oddities had been met before in what the lake has; the view `oddities` names them.
    pub earlier_oddities: u64,
    /// Files that were read earlier, up to their damage; and what that is.
    pub damaged: Vec<(PathBuf, String)>,
}

impl LoadReport {
    /// The counts of all files together.
    #[must_use]
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for segment in &self.segments {
            total.merge(&segment.counts);
        }
        total
    }

    /// The oddities of all files together, with the first example of each.
    #[must_use]
    pub fn oddities(&self) -> BTreeMap<String, Example> {
        let mut all: BTreeMap<String, Example> = BTreeMap::new();
        for (kind, example) in self.segments.iter().flat_map(|segment| &segment.oddities) {
            match all.get_mut(kind) {
                Some(first) => first.count += example.count,
                None => drop(all.insert(kind.clone(), example.clone())),
            }
        }
        all
    }

    /// Whether any file could not be read to its end.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damaged.is_empty() || self.segments.iter().any(|segment| segment.damage.is_some())
    }

    /// Adds what another load found.
    pub fn merge(&mut self, other: Self) {
        self.segments.extend(other.segments);
        self.foreign.extend(other.foreign);
        self.known.extend(other.known);
        self.renewed = other.renewed.or(self.renewed.take());
        self.gone.extend(other.gone);
        self.earlier_oddities = self.earlier_oddities.saturating_add(other.earlier_oddities);
        self.damaged.extend(other.damaged);
    }
}
