//! What can go wrong with files.

use std::{io, path::PathBuf};

/// A file operation that failed, with its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log folder is not there.
    #[error("there is no log folder `{}`", .0.display())]
    NoFolder(PathBuf),
    /// A folder cannot be made or listed.
    #[error("{action} folder `{}`", path.display())]
    Folder {
        /// What was tried.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A segment cannot be made, written, read or renamed.
    #[error("{action} log segment `{}`", path.display())]
    Segment {
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
    /// Whether the file or folder is not there, as when it was renamed meanwhile.
    pub(crate) fn is_not_found(&self) -> bool {
        match self {
            Self::NoFolder(_) => true,
            Self::Folder { source, .. } | Self::Segment { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
            }
        }
    }

    pub(super) fn folder(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: io::Error,
    ) -> Self {
        Self::Folder { action, path: path.into(), source }
    }

    pub(super) fn segment(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: io::Error,
    ) -> Self {
        Self::Segment { action, path: path.into(), source }
    }
}
