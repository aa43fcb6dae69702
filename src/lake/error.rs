//! What can go wrong between the tape and the rows.

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
    /// A thread of the loader ended before its work.
    #[error("a loading thread ended early")]
    Thread,
}
