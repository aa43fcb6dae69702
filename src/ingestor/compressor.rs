//! The compressor: one thread of low priority behind the recording.
//!
//! It compresses the segments that this recorder seals, and between them the ones that an earlier
//! recorder was killed before compressing. What it cannot keep up with waits on disk, sealed: only
//! names wait in memory.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{self, TryRecvError},
    thread::JoinHandle,
};

use thread_priority::{ThreadPriority, set_current_thread_priority};

use super::{
    config::{Compression, Config},
    connection::chain,
};
use crate::tape::{Leftovers, compress};

/// What becomes of sealed segments.
pub(super) enum Compressor {
    /// They are compressed, and the thread says where they lie.
    Running(JoinHandle<Vec<PathBuf>>),
    /// They stay where they are.
    Off(mpsc::Receiver<PathBuf>),
}

impl Compressor {
    /// Starts compressing what comes through the sender, if the configuration wants it.
    pub(super) fn start(config: &Config) -> std::io::Result<(Self, mpsc::Sender<PathBuf>)> {
        let (sender, sealed) = mpsc::channel();
        let compressor = match config.compression {
            Compression::None => Self::Off(sealed),
            Compression::Zstd => {
                let folder = config.log_dir.clone();
                let thread = std::thread::Builder::new().name("compressor".to_owned());
                Self::Running(thread.spawn(move || run(&folder, &sealed))?)
            }
        };
        Ok((compressor, sender))
    }

    /// Waits for the last segment of this recorder and says where all of them lie. The sender must
    /// be gone.
    pub(super) fn finish(self) -> Vec<PathBuf> {
        let files = match self {
            Self::Running(thread) => thread.join().unwrap_or_else(|_| {
                tracing::warn!("the compressor panicked: segments stay sealed and are not listed");
                Vec::new()
            }),
            Self::Off(sealed) => sealed.into_iter().collect(),
        };
        // What another recorder was compressing may have moved on since.
        let now = |path: PathBuf| if path.exists() { path } else { compressed_or_kept(path) };
        files.into_iter().map(now).collect()
    }
}

fn run(folder: &Path, sealed: &mpsc::Receiver<PathBuf>) -> Vec<PathBuf> {
    if let Err(error) = set_current_thread_priority(ThreadPriority::Min) {
        tracing::debug!(?error, "the compressor runs at normal priority");
    }
    let mut files = Vec::new();
    for leftover in left_by_others(folder) {
        loop {
            match sealed.try_recv() {
                Ok(path) => files.push(compressed_or_kept(path)),
                Err(TryRecvError::Empty) => break,
                // What is left of the others can wait for the next start; the user cannot.
                Err(TryRecvError::Disconnected) => return files,
            }
        }
        compressed_or_kept(leftover);
    }
    files.extend(sealed.iter().map(compressed_or_kept));
    files
}

/// Sealed segments that nobody compressed. Copies that belong to no segment are removed.
fn left_by_others(folder: &Path) -> Vec<PathBuf> {
    let leftovers = Leftovers::of(folder).unwrap_or_else(|error| {
        let cause = chain(&error);
        tracing::warn!(cause, "no look for what earlier recorders left");
        Leftovers::default()
    });
    for copy in leftovers.partial_copies {
        match fs::remove_file(&copy) {
            Ok(()) => tracing::info!(path = %copy.display(), "partial copy removed"),
            Err(cause) => tracing::debug!(path = %copy.display(), %cause, "partial copy kept"),
        }
    }
    leftovers.sealed
}

/// A segment that cannot be compressed stays as it is: nothing is lost, it is only larger.
fn compressed_or_kept(path: PathBuf) -> PathBuf {
    match compress(&path) {
        Ok(compressed) => compressed,
        Err(error) => {
            let cause = chain(&error);
            tracing::warn!(path = %path.display(), cause, "segment not compressed");
            path
        }
    }
}
