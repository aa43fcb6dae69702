//! Which rows a question wants of the lake.

/// Which rows are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'w> {
    pub(crate) table: &'static str,
    /// The columns to read.
    pub(crate) columns: &'w [&'static str],
    /// Those of one market; of all where there is none.
    pub(crate) ticker: Option<&'w str>,
    /// Those of a time, `[from, to)` in ns since the epoch. Without a market, some outside it may
    /// come, too.
    pub(crate) times: (i64, i64),
    /// Those of some frames; of all where there are none.
    pub(crate) frames: Option<Frames>,
}

impl<'w> Wanted<'w> {
    /// All rows of a table.
    pub(crate) const fn all(table: &'static str, columns: &'w [&'static str]) -> Self {
        Self { table, columns, ticker: None, times: ALWAYS, frames: None }
    }
}

/// Frames of a stream, whose numbers are in `[from, to]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) stream: u64,
    pub(crate) numbers: (i64, i64),
}

/// All of time.
pub(crate) const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);
