//! The logger: one thread, the only code that writes under the log folder while recording.
//!
//! It gathers batches until the flush interval is over or enough is there, writes them in one go,
//! syncs now and then, and seals a segment when it is large or old. If it cannot write, it stops
//! the whole recorder: a recorder that cannot record must not look alive.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    clock::Clock,
    config::{Compression, Config},
    queue::{Batch, Receiver},
    stats::Stats,
};
use crate::tape::{self, Event, SegmentWriter, SessionInfo, Stamp, compress, write_event};

/// Enough to write at once, even before the flush interval is over. Less than a full batch, which
/// so goes from the worker's buffer to the file without a copy.
const WRITE_BYTES: usize = 96 << 10;

/// How often a quiet logger looks at the time.
const IDLE: Duration = Duration::from_millis(100);

/// The logger thread and what it will say at its end.
pub(super) struct Logger {
    thread: JoinHandle<Result<Written, Error>>,
    ended: CancellationToken,
}

/// What was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) segments: u64,
    pub(super) queue_peak: usize,
    pub(super) files: Vec<PathBuf>,
}

impl Logger {
    /// Completes when the thread has ended, well or badly.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Waits for the end and says how it was.
    pub(super) async fn join(self) -> Result<Written, Error> {
        self.ended.cancelled().await;
        self.thread.join().map_err(|_| Error::Logger)?
    }
}

/// Creates the first segment and starts the thread.
///
/// # Errors
/// [`Error::Tape`] when the log folder cannot be written, before anything is recorded.
pub(super) fn spawn(
    config: &Config,
    session: &str,
    queue: Receiver,
    stats: Arc<Stats>,
) -> Result<Logger, Error> {
    let mut log = Log {
        folder: config.log_dir.clone(),
        session: session.to_owned(),
        environment: config.environment.as_str(),
        config: serde_json::value::to_raw_value(&config.describe()).unwrap_or_default(),
        host: hostname::get().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default(),
        clock: Clock::start(),
        flush: config.flush,
        sync: config.sync,
        segment_bytes: config.segment_bytes,
        segment_age: config.segment_age,
        compressor: Compressor::start(config.compression).map_err(Error::Thread)?,
        written: Written::default(),
        stats,
    };
    let segment = log.open_segment().map_err(|source| failed(source, 0))?;
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let thread = std::thread::Builder::new()
        .name("logger".to_owned())
        .spawn(move || {
            let _ended = guard;
            log.run(&queue, segment)
        })
        .map_err(Error::Thread)?;
    Ok(Logger { thread, ended })
}

struct Log {
    folder: PathBuf,
    session: String,
    environment: &'static str,
    config: Box<RawValue>,
    host: String,
    clock: Clock,
    flush: Duration,
    sync: Duration,
    segment_bytes: u64,
    segment_age: Duration,
    compressor: Compressor,
    written: Written,
    stats: Arc<Stats>,
}

/// Batches gathered and not yet written.
#[derive(Default)]
struct Gathered {
    batch: Batch,
    since: Option<Instant>,
}

struct Segment {
    writer: SegmentWriter,
    born: Instant,
    synced: Instant,
    dirty: bool,
}

impl Log {
    fn run(mut self, queue: &Receiver, mut segment: Segment) -> Result<Written, Error> {
        let mut gathered = Gathered::default();
        loop {
            let patience = match gathered.since {
                Some(since) => self.flush.saturating_sub(since.elapsed()),
                None => self.sync.min(IDLE),
            }
            .max(Duration::from_millis(1));
            let over = match queue.receive(patience) {
                Ok(Some(batch)) => {
                    gathered.since.get_or_insert_with(Instant::now);
                    queue.join(&mut gathered.batch, batch);
                    false
                }
                Ok(None) => false,
                Err(_) => true,
            };
            let due = gathered.since.is_some_and(|since| since.elapsed() >= self.flush);
            if over || due || gathered.batch.bytes.len() >= WRITE_BYTES || queue.is_tight() {
                self.write(queue, &mut segment, std::mem::take(&mut gathered).batch)?;
            }
            if segment.dirty && segment.synced.elapsed() >= self.sync {
                let lines = segment.writer.lines();
                segment.writer.sync().map_err(|source| failed(source, lines))?;
                segment.synced = Instant::now();
                segment.dirty = false;
            }
            if over {
                let lines = segment.writer.lines();
                self.seal(segment, true).map_err(|source| failed(source, lines))?;
                self.written.queue_peak = queue.peak();
                self.written.files = self.compressor.finish();
                return Ok(self.written);
            }
            let full = segment.writer.bytes() >= self.segment_bytes;
            if full || segment.born.elapsed() >= self.segment_age {
                let lines = segment.writer.lines();
                let next = self.open_segment().map_err(|source| failed(source, lines))?;
                let old = std::mem::replace(&mut segment, next);
                self.seal(old, false).map_err(|source| failed(source, lines))?;
            }
        }
    }

    fn write(
        &mut self,
        queue: &Receiver,
        segment: &mut Segment,
        batch: Batch,
    ) -> Result<(), Error> {
        segment
            .writer
            .append(&batch.bytes, batch.lines, batch.frames)
            .map_err(|source| failed(source, segment.writer.lines()))?;
        segment.dirty = true;
        self.stats.written.fetch_add(batch.frames, Relaxed);
        self.written.bytes += batch.bytes.len() as u64;
        queue.free(batch);
        Ok(())
    }

    fn open_segment(&mut self) -> Result<Segment, tape::Error> {
        let now = Instant::now();
        // A new look at the wall clock: over months, and over a machine's sleep, names stay true.
        let before = self.clock.ns(now);
        self.clock = Clock::start();
        let recv_ns = self.clock.ns(now).max(before);
        let number = u32::try_from(self.written.segments).unwrap_or(u32::MAX);
        let stamp = Stamp { start_ns: recv_ns, session: self.session.clone(), number };
        let mut writer = SegmentWriter::create(&self.folder, &stamp)?;
        let mut line = Vec::new();
        let info = SessionInfo {
            format: tape::FORMAT,
            session: (&*self.session).into(),
            segment: number,
            version: env!("CARGO_PKG_VERSION").into(),
            env: self.environment.into(),
            host: (&*self.host).into(),
            config: std::borrow::Cow::Borrowed(&self.config),
        };
        write_event(&mut line, recv_ns, None, &Event::Session(info));
        writer.append(&line, 1, 0)?;
        self.written.segments += 1;
        self.written.bytes += line.len() as u64;
        Ok(Segment { writer, born: now, synced: now, dirty: true })
    }

    fn seal(&mut self, segment: Segment, last: bool) -> Result<(), tape::Error> {
        let recv_ns = self.clock.ns(Instant::now());
        let writer = segment.writer;
        let (path, seal) = if last { writer.seal_last(recv_ns) } else { writer.seal(recv_ns) }?;
        tracing::debug!(path = %path.display(), lines = seal.lines, "segment sealed");
        self.compressor.take(path, seal);
        Ok(())
    }
}

/// How many messages that costs is known when the workers have ended.
fn failed(source: tape::Error, whole_lines: u64) -> Error {
    Error::Tape { source, whole_lines, lost_messages: 0 }
}

/// The thread that compresses sealed segments, one at a time, behind the recording.
struct Compressor {
    sealed: Option<std::sync::mpsc::Sender<(PathBuf, tape::Seal)>>,
    thread: Option<JoinHandle<Vec<PathBuf>>>,
    kept: Vec<PathBuf>,
}

impl Compressor {
    fn start(compression: Compression) -> std::io::Result<Self> {
        let mut compressor = Self { sealed: None, thread: None, kept: Vec::new() };
        if compression == Compression::Zstd {
            let (sender, sealed) = std::sync::mpsc::channel::<(PathBuf, tape::Seal)>();
            let thread =
                std::thread::Builder::new().name("compressor".to_owned()).spawn(move || {
                    sealed.into_iter().map(|(path, seal)| compressed_or_kept(path, &seal)).collect()
                })?;
            compressor.sealed = Some(sender);
            compressor.thread = Some(thread);
        }
        Ok(compressor)
    }

    fn take(&mut self, path: PathBuf, seal: tape::Seal) {
        let unsent = match &self.sealed {
            Some(sealed) => sealed.send((path, seal)).err().map(|error| error.0.0),
            None => Some(path),
        };
        self.kept.extend(unsent);
    }

    /// Waits for the last segment and says where all of them lie.
    fn finish(&mut self) -> Vec<PathBuf> {
        self.sealed = None;
        let mut files = std::mem::take(&mut self.kept);
        if let Some(thread) = self.thread.take() {
            files.extend(thread.join().unwrap_or_default());
        }
        files
    }
}

/// A segment that cannot be compressed stays as it is: nothing is lost, it is only larger.
fn compressed_or_kept(path: PathBuf, seal: &tape::Seal) -> PathBuf {
    match compress(&path, seal) {
        Ok(compressed) => compressed,
        Err(error) => {
            let cause = super::connection::chain(&error);
            tracing::warn!(path = %path.display(), cause, "segment not compressed");
            path
        }
    }
}
