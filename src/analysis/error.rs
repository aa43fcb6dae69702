//! What can keep a question from its answer.

use std::{io, path::PathBuf};

use crate::book;
use crate::lake;

/// A question that could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tape cannot be loaded.
    #[error("load logs from `{}`", path.display())]
    Load {
        /// The log folder.
        path: PathBuf,
        /// The step that failed.
        #[source]
        source: lake::Error,
    },
    /// Rows cannot be read from a lake.
    #[error("read the lake")]
    Lake(#[from] lake::Error),
    /// A table of a lake lacks a column, or it has another type; a fault of this program.
    #[error("the lake has no right column `{0}`")]
    Column(&'static str),
    /// DuckDB refuses.
    #[error("{action}")]
    Database {
        /// What was tried.
        action: String,
        /// DuckDB's reason.
        #[source]
        source: duckdb::Error,
    },
    /// Nothing of the market is on the tape.
    #[error("nothing of market `{ticker}` is recorded")]
    UnknownTicker {
        /// What was asked for.
        ticker: String,
        /// Recorded markets with similar names, most similar first.
        near: Vec<String>,
    },
    /// The market is on the tape, but no snapshot of its book.
    #[error("no order book of market `{0}` is recorded")]
    NoBook(String),
    /// The instant is before the first snapshot.
    #[error("the order book of `{ticker}` is recorded from {first} on, not yet at {asked}")]
    TooEarly {
        /// The market.
        ticker: String,
        /// The instant asked for.
        asked: super::Nanos,
        /// The first snapshot.
        first: super::Nanos,
    },
    /// No stream of the market has the number.
    #[error("no stream of market `{ticker}` reaches frame number {seq}")]
    NoSuchNumber {
        /// The market.
        ticker: String,
        /// The number asked for.
        seq: i64,
    },
    /// The stored rows give no right book where they should; a fault of this program.
    #[error("rebuild the order book of `{ticker}`")]
    Rebuild {
        /// The market.
        ticker: String,
        /// What is wrong.
        #[source]
        source: book::Error,
    },
    /// A text is something else than one query that reads.
    #[error("{0} is refused: SQL only reads here, one query at a time")]
    Refused(String),
    /// A query calls what is not there.
    #[error("there is no table function `{name}`")]
    NoFunction {
        /// What was called.
        name: String,
        /// Table functions with similar names, most similar first.
        near: Vec<String>,
    },
    /// A text is no SQL.
    #[error("parse the query: {0}")]
    Syntax(String),
    /// It was stopped by an [`super::Interrupter`].
    #[error("interrupted")]
    Interrupted,
    /// No recorded market is meant.
    #[error("no recorded market matches `{0}`")]
    NoMatch(String),
    /// The name of an output file does not say how it is to be written.
    #[error("`{}` has no suffix of a format that is written here", .0.display())]
    Suffix(PathBuf),
    /// An output file is there already.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// What lies at the output's name is no earlier export, so it is not replaced.
    #[error("`{}` is something else than an earlier export", .0.display())]
    NotAnExport(PathBuf),
    /// An output file cannot be written.
    #[error("{action} `{}`", path.display())]
    Write {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownTicker { near, .. } if !near.is_empty() => {
                return Some(format!("similar names are recorded: {}", near.join(", ")));
            }
            Self::NoFunction { near, .. } if !near.is_empty() => {
                return Some(format!("similar names are there: {}", near.join(", ")));
            }
            Self::NoFunction { .. } => {
                "`book_at`, `spread_bars` and `vwap_bars` are those of the archive; \
                 `FROM duckdb_functions() WHERE function_type = 'table'` lists DuckDB's"
            }
            Self::UnknownTicker { .. } | Self::NoMatch(_) => {
                "`kalshi analyze markets` lists what is recorded"
            }
            Self::Lake(_) | Self::Column(_) => {
                "the lake may be deleted: it is made again from the recordings"
            }
            Self::Load {
                source: lake::Error::NotALake(_) | lake::Error::OtherLogs { .. }, ..
            } => {
                "give each folder of recordings a lake of its own, in an empty folder, with --lake-dir (KALSHI_LAKE_DIR)"
            }
            Self::Load { source: lake::Error::Tape(_), .. } => {
                "give the folder of the recordings with --log-dir, or set KALSHI_LOG_DIR"
            }
            Self::Load { source: lake::Error::File { .. }, .. } => {
                "the lake is kept in the folder `lake` of the recordings, or where --lake-dir (KALSHI_LAKE_DIR) says: give a folder that can be written"
            }
            Self::Load { source: lake::Error::UnknownTable(_), .. } => {
                "the lake can be deleted at any time, and is then built again"
            }
            Self::Database { source, .. } if source.to_string().contains("Table with name") => {
                "`SHOW TABLES` lists the views, `DESCRIBE bbo` the columns of one"
            }
            Self::Database { source, .. } if source.to_string().contains("Out of Memory") => {
                "SET is refused here: --memory gives it more, fewer --threads need less"
            }
            Self::Database { source, .. }
                if source.to_string().contains("requires the extension httpfs") =>
            {
                "files are read here, and no addresses: fetch it first"
            }
            Self::Database { source, .. }
                if source.to_string().contains("Cannot compare values of type TIMESTAMP") =>
            {
                "times are TIMESTAMP_NS: compare them with `now()::TIMESTAMP - INTERVAL 1 hour`, or a text as '2026-05-11 05:34:00'"
            }
            Self::Refused(_) => {
                "--out FILE writes the result of a query to a file, `kalshi export-parquet` recorded rows"
            }
            Self::Suffix(_) => "name it .parquet, .csv, .json, .jsonl or .ndjson",
            Self::NotAnExport(_) => "choose another name; --force replaces earlier exports only",
            Self::Exists(_) => "--force overwrites it",
            Self::NoBook(_) => {
                "a book needs the channel `orderbook_delta`; the exchange sends an empty snapshot for a market it does not know"
            }
            Self::NoSuchNumber { .. } => {
                "numbers count per subscription; `kalshi analyze sql 'FROM spans'` lists what there is"
            }
            Self::Load { .. }
            | Self::Database { .. }
            | Self::Syntax(_)
            | Self::Interrupted
            | Self::TooEarly { .. }
            | Self::Rebuild { .. }
            | Self::Write { .. } => return None,
        };
        Some(hint.into())
    }
}
