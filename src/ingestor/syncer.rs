//! The syncer: the one thread that waits for the disk, so that no writing does.
//!
//! It syncs the open segment at each interval and sees whether the file is still where it was; it
//! seals the segments that are full. If either fails it ends, and the logger with it.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::Error;
use crate::tape::{self, SegmentSync, SegmentWriter};

/// Full segments that may wait to be sealed before the writing waits for the disk after all. Each
/// holds a file open.
const FULL_MAX: usize = 4;

/// A segment that nothing is written to any more.
pub(super) struct Full {
    pub(super) writer: SegmentWriter,
    /// When it ended.
    pub(super) recv_ns: i64,
    /// The one after it; `None` ends the session.
    pub(super) next: Option<SegmentSync>,
}

/// Why the thread ended early, and what it had brought to the disk until then.
struct Unsynced {
    source: tape::Error,
    /// Lines of the open segment.
    whole_lines: u64,
    /// Lines of the sealed segments before it.
    sealed_lines: u64,
}

/// The thread and the way to it.
pub(super) struct Syncer {
    full: SyncSender<Full>,
    thread: JoinHandle<Result<(), Unsynced>>,
}

impl Syncer {
    /// Starts syncing `open`; what is sealed goes to `sealed`.
    pub(super) fn start(
        open: SegmentSync,
        interval: Duration,
        sealed: Sender<PathBuf>,
    ) -> std::io::Result<Self> {
        let (sender, full) = sync_channel(FULL_MAX);
        let thread = std::thread::Builder::new()
            .name("syncer".to_owned())
            .spawn(move || run(open, interval, &full, &sealed))?;
        Ok(Self { full: sender, thread })
    }

    /// Whether it ended early: the disk cannot be synced.
    pub(super) fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Hands a segment over to be sealed; `false` when the syncer has failed.
    pub(super) fn seal(&self, full: Full) -> bool {
        self.full.send(full).is_ok()
    }

    /// Waits until everything handed over is sealed and the rest synced. The logger has appended
    /// `lines` in all.
    ///
    /// # Errors
    /// [`Error::Tape`] with the last line that is known to be on the disk.
    pub(super) fn finish(self, lines: u64) -> Result<(), Error> {
        drop(self.full);
        let ended = self.thread.join().map_err(|_| Error::Panicked("syncer"))?;
        ended.map_err(|Unsynced { source, whole_lines, sealed_lines }| {
            let unsynced_lines = lines.saturating_sub(sealed_lines).saturating_sub(whole_lines);
            Error::Tape { source, whole_lines, unsynced_lines, lost_messages: 0 }
        })
    }
}

fn run(
    mut open: SegmentSync,
    interval: Duration,
    full: &Receiver<Full>,
    sealed: &Sender<PathBuf>,
) -> Result<(), Unsynced> {
    let interval = interval.max(Duration::from_millis(1));
    let mut synced = Instant::now();
    let mut sealed_lines = 0;
    loop {
        match full.recv_timeout(interval.saturating_sub(synced.elapsed())) {
            Ok(full) => {
                let (path, lines) = open
                    .sync_folders()
                    .and_then(|()| seal(full.writer, full.recv_ns, full.next.is_none()))
                    .map_err(|source| unsynced(source, &open, sealed_lines))?;
                sealed_lines += lines;
                // Where the compressor has panicked, the segment stays as it is.
                drop(sealed.send(path));
                let Some(next) = full.next else { return Ok(()) };
                open = next;
            }
            Err(RecvTimeoutError::Timeout) => {
                sync(&mut open, sealed_lines)?;
                synced = Instant::now();
            }
            // The logger cannot write; what it wrote before is kept.
            Err(RecvTimeoutError::Disconnected) => return sync(&mut open, sealed_lines),
        }
    }
}

fn sync(open: &mut SegmentSync, sealed_lines: u64) -> Result<(), Unsynced> {
    open.sync().map_err(|source| unsynced(source, open, sealed_lines))
}

/// Where it is sealed, and how many lines it has before the closing one.
fn seal(writer: SegmentWriter, recv_ns: i64, last: bool) -> Result<(PathBuf, u64), tape::Error> {
    let (path, seal) = if last { writer.seal_last(recv_ns) } else { writer.seal(recv_ns) }?;
    tracing::debug!(path = %path.display(), lines = seal.lines, "segment sealed");
    Ok((path, seal.lines))
}

fn unsynced(source: tape::Error, open: &SegmentSync, sealed_lines: u64) -> Unsynced {
    Unsynced { source, whole_lines: open.synced_lines(), sealed_lines }
}
