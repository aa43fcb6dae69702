//! The compressor: one thread of low priority behind the recording.
//!
//! It compresses the segments that this recorder seals, and between them the ones that an earlier
//! recorder was killed before compressing. What it cannot keep up with waits on disk, sealed: only
//! names wait in memory.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use thread_priority::{ThreadPriority, set_current_thread_priority};

use super::{
    config::{Compression, Config},
    connection::chain,
};
use crate::tape::{Leftovers, compress};

/// How long whoever stops a recorder waits for its last segments to be compressed. On a busy machine
/// many may wait by then; the next recorder in the folder goes on with them.
const PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of sealed segments.
pub(super) enum Compressor {
    /// They are compressed, and the thread says where they lie.
    Running { thread: JoinHandle<Vec<PathBuf>>, enough: Arc<AtomicBool> },
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
                let enough = Arc::new(AtomicBool::new(false));
                let told = Arc::clone(&enough);
                let thread = thread::Builder::new().name("compressor".to_owned());
                let thread = thread.spawn(move || run(&folder, &sealed, &told))?;
                Self::Running { thread, enough }
            }
        };
        Ok((compressor, sender))
    }

    /// Waits for the last segments of this recorder, but not for long, and says where all of them
    /// lie. The sender must be gone.
    pub(super) fn finish(self) -> Vec<PathBuf> {
        let files = match self {
            Self::Running { thread, enough } => {
                let start = Instant::now();
                while !thread.is_finished() && start.elapsed() < PATIENCE {
                    thread::sleep(Duration::from_millis(10));
                }
                enough.store(true, Relaxed);
                thread.join().unwrap_or_else(|_| {
                    tracing::warn!("the compressor panicked: its segments are not listed");
                    Vec::new()
                })
            }
            Self::Off(sealed) => sealed.into_iter().collect(),
        };
        // What another recorder was compressing may have moved on since.
        let now = |path: PathBuf| if path.exists() { path } else { compressed_or_kept(path) };
        files.into_iter().map(now).collect()
    }
}

fn run(folder: &Path, sealed: &mpsc::Receiver<PathBuf>, enough: &AtomicBool) -> Vec<PathBuf> {
    if let Err(error) = set_current_thread_priority(ThreadPriority::Min) {
        tracing::debug!(?error, "the compressor runs at normal priority");
    }
    let (mut files, mut left) = (Vec::new(), 0_u32);
    let mut take = |path: PathBuf| {
        if enough.load(Relaxed) {
            left += 1;
            files.push(path);
        } else {
            files.push(compressed_or_kept(path));
        }
    };
    let mut others = left_by_others(folder).into_iter();
    loop {
        match sealed.try_recv() {
            Ok(path) => take(path),
            Err(TryRecvError::Empty) => match others.next() {
                Some(path) => drop(compressed_or_kept(path)),
                None => break,
            },
            // What is left of the others can wait for the next start; the user cannot.
            Err(TryRecvError::Disconnected) => break,
        }
    }
    sealed.iter().for_each(take);
    if left > 0 {
        tracing::info!(segments = left, "left for the next recorder in this folder to compress");
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{SegmentWriter, Stamp};

    #[test]
    fn whoever_stops_does_not_wait_for_all_that_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let sealed = |number| {
            let session = "3f9a1c07be52".to_owned();
            let stamp = Stamp { start_ns: 0, session, number };
            let mut writer = SegmentWriter::create(folder.path(), &stamp).unwrap();
            writer.append(b"{}\n", 1, 0).unwrap();
            writer.seal(0).unwrap().0
        };
        let (sender, receiver) = mpsc::channel();
        let paths: Vec<_> = (0..3).map(sealed).collect();
        paths.iter().for_each(|path| sender.send(path.clone()).unwrap());
        drop(sender);
        let files = run(&folder.path().join("elsewhere"), &receiver, &AtomicBool::new(true));
        assert_eq!(files, paths);
        assert!(paths.iter().all(|path| path.exists()));
    }
}
