//! What can go wrong between the tape and the rows.

use std::path::{Path, PathBuf};

use super::stored::Stored;
use crate::tape;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log folder cannot be read.
    #[error("look for recordings")]
    Tape(#[source] tape::Error),
    /// A file of rows cannot be read or written.
    #[error("{action} `{}`", path.display())]
    Parquet {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A table lacks a column, or it has another type; a fault of this program, or damage.
    #[error("table `{table}` has no right column `{column}`")]
    Column {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
    },
    /// A row names no market; a fault of this program.
    #[error("a row of table `{table}` is of a market without a name")]
    Unnamed {
        /// The table.
        table: &'static str,
    },
    /// Rows do not fit their own table; a fault of this program.
    #[error("make rows of table `{table}`")]
    Batch {
        /// The table.
        table: &'static str,
        /// Arrow's reason.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// A file of the lake cannot be read or written.
    #[error("{action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// DuckDB cannot show the lake.
    #[error("show the lake")]
    Show(#[source] duckdb::Error),
    /// What was known where a session's digestion ended cannot be read.
    #[error("restore `{}`", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// A folder that was named for the lake holds something else.
    #[error("`{}` is not empty and no lake", .0.display())]
    NotALake(PathBuf),
    /// A lake that was named is of other recordings.
    #[error("the lake `{}` is of the recordings in `{}`", lake.display(), logs.display())]
    OtherLogs {
        /// The lake.
        lake: PathBuf,
        /// Its recordings.
        logs: PathBuf,
    },
    /// A file of the lake was not as it was written, and has been removed.
    #[error("`{}` was damaged and has been removed; ask again", .0.display())]
    Damaged(PathBuf),
    /// A recording is no longer the one that was digested.
    #[error("`{}` was replaced", .0.display())]
    Replaced(PathBuf),
    /// The manifest names a table that this version does not have.
    #[error("the lake has a table `{0}` that this version does not know")]
    UnknownTable(String),
    /// A thread of the loader ended before its work.
    #[error("a loading thread ended early")]
    Thread,
}

impl Error {
    pub(super) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    pub(super) fn parquet(
        action: &'static str,
        path: &Path,
        source: parquet::errors::ParquetError,
    ) -> Self {
        Self::Parquet { action, path: path.to_owned(), source }
    }

    pub(super) fn column(table: &Stored, column: &str) -> Self {
        Self::Column { table: table.name, column: column.to_owned() }
    }
}
