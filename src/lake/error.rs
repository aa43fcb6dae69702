//! What can go wrong between the tape and the rows.

use std::path::{Path, PathBuf};

use crate::tape;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log folder cannot be read.
    #[error("look for recordings")]
    Tape(#[source] tape::Error),
    /// Rows cannot be made or stored.
    #[error("store rows of table `{table}`")]
    Store {
        /// The table.
        table: &'static str,
        /// DuckDB's reason.
        #[source]
        source: duckdb::Error,
    },
    /// Rows do not fit their own table; a fault of this program.
    #[error("make rows of table `{table}`")]
    Batch {
        /// The table.
        table: &'static str,
        /// Arrow's reason.
        #[source]
        source: duckdb::arrow::error::ArrowError,
    },
    /// A file of the lake cannot be read or written.
    #[error("{action} `{path}`")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
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
}
