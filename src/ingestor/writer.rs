//! The logger: one thread, the only code that writes what was received.
//!
//! It gathers batches until the flush interval is over or enough is there, writes them in one go,
//! and begins a new segment when one is large or old. Whatever waits for the disk is left to the
//! [`syncer`](super::syncer). If either fails, it stops the whole recorder: a recorder that cannot
//! record must not look alive.

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
    compressor::Compressor,
    config::Config,
    queue::{Batch, Receiver},
    stats::Stats,
    syncer::{Full, Syncer},
};
use crate::tape::{self, Event, SegmentSync, SegmentWriter, SessionInfo, Stamp, write_event};

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
        self.thread.join().map_err(|_| Error::Panicked("logger"))?
    }
}

/// Creates the first segment and starts the threads.
///
/// # Errors
/// [`Error::Tape`] when the log folder cannot be written, before anything is recorded.
pub(super) fn spawn(
    config: &Config,
    session: &str,
    queue: Receiver,
    stats: Arc<Stats>,
) -> Result<Logger, Error> {
    let mut log = Log::new(config, session, stats);
    let (segment, mut sync) = log.open_segment().map_err(|source| failed(source, 0))?;
    sync.sync().map_err(|source| failed(source, 0))?;
    let (compressor, sealed) = Compressor::start(config).map_err(Error::Thread)?;
    let syncer = Syncer::start(sync, config.sync, sealed).map_err(Error::Thread)?;
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let thread = std::thread::Builder::new()
        .name("logger".to_owned())
        .spawn(move || {
            let _ended = guard;
            let recorded = log.run(queue, segment, &syncer);
            // Waited for in any case. The first cause is the one that is told.
            let synced = syncer.finish(log.lines);
            log.written.files = compressor.finish();
            recorded.and(synced)?;
            Ok(log.written)
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
    /// When the newest segment starts.
    start_ns: i64,
    /// Lines appended, over all segments.
    lines: u64,
    flush: Duration,
    segment_bytes: u64,
    segment_age: Duration,
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
}

impl Log {
    fn new(config: &Config, session: &str, stats: Arc<Stats>) -> Self {
        Self {
            folder: config.log_dir.clone(),
            session: session.to_owned(),
            environment: config.environment.as_str(),
            config: serde_json::value::to_raw_value(&config.describe()).unwrap_or_default(),
            host: hostname::get().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default(),
            clock: Clock::start(),
            start_ns: i64::MIN,
            lines: 0,
            flush: config.flush,
            segment_bytes: config.segment_bytes,
            segment_age: config.segment_age,
            written: Written::default(),
            stats,
        }
    }

    /// Writes what comes until no worker is left or the syncer has failed. The queue ends with it,
    /// so that workers do not wait for one that has no reader.
    fn run(&mut self, queue: Receiver, mut segment: Segment, syncer: &Syncer) -> Result<(), Error> {
        let mut gathered = Gathered::default();
        loop {
            let patience = match gathered.since {
                Some(since) => self.flush.saturating_sub(since.elapsed()),
                None => IDLE,
            }
            .clamp(Duration::from_millis(1), IDLE);
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
                self.write(&queue, &mut segment, std::mem::take(&mut gathered).batch)?;
            }
            let full = segment.writer.bytes() >= self.segment_bytes;
            let handed_over = if over {
                self.written.queue_peak = queue.peak();
                syncer.seal(self.full(segment, None));
                return Ok(());
            } else if full || segment.born.elapsed() >= self.segment_age {
                let (next, sync) = match self.open_segment() {
                    Ok(opened) => opened,
                    Err(source) => {
                        // What is full is whole, and the session ends with it.
                        syncer.seal(self.full(segment, None));
                        return Err(Error::NextSegment { source, lost_messages: 0 });
                    }
                };
                let old = std::mem::replace(&mut segment, next);
                syncer.seal(self.full(old, Some(sync)))
            } else {
                true
            };
            if !handed_over || syncer.has_failed() {
                return Ok(());
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
        self.lines += batch.lines;
        self.stats.written.fetch_add(batch.frames, Relaxed);
        self.stats.rejected.fetch_add(batch.rejected, Relaxed);
        self.written.bytes += batch.bytes.len() as u64;
        queue.free(batch);
        Ok(())
    }

    fn open_segment(&mut self) -> Result<(Segment, SegmentSync), tape::Error> {
        let now = Instant::now();
        // A new look at the wall clock: over months, and over a machine's sleep, names stay true.
        // Where it was set back, they still are in the order of their segments.
        let before = self.clock.ns(now).max(self.start_ns);
        self.clock = Clock::start();
        let recv_ns = self.clock.ns(now).max(before);
        self.start_ns = recv_ns;
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
        self.lines += 1;
        self.written.segments += 1;
        self.written.bytes += line.len() as u64;
        let sync = writer.syncer();
        Ok((Segment { writer, born: now }, sync))
    }

    fn full(&mut self, segment: Segment, next: Option<SegmentSync>) -> Full {
        Full { writer: segment.writer, recv_ns: self.clock.ns(Instant::now()), next }
    }
}

/// How many messages that costs is known when the workers have ended.
fn failed(source: tape::Error, whole_lines: u64) -> Error {
    Error::Tape { source, whole_lines, unsynced_lines: 0, lost_messages: 0 }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::ingestor::{config::Compression, queue};
    use crate::tape::{Archive, SegmentState, verify};

    const SESSION: &str = "3f9a1c07be52";

    fn config(folder: &tempfile::TempDir) -> Config {
        let log_dir = folder.path().to_owned();
        Config { log_dir, segment_bytes: 1, compression: Compression::None, ..Config::default() }
    }

    #[test]
    fn names_keep_the_order_of_segments_when_the_clock_is_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::new(&config(&folder), SESSION, Arc::default());
        let newest: Timestamp = "2096-10-02T07:06:40Z".parse().unwrap();
        log.start_ns = i64::try_from(newest.as_nanosecond()).unwrap();
        for _ in 0..3 {
            log.open_segment().unwrap();
        }
        let segments = Archive::open(folder.path()).unwrap().segments;
        let stems: Vec<_> = segments.iter().map(|segment| segment.stem()).collect();
        let expected = [0, 1, 2].map(|n| format!("20961002T070640Z-{SESSION}-000{n}"));
        assert_eq!(stems, expected);
    }

    #[tokio::test]
    async fn a_segment_is_sealed_also_where_the_next_cannot_be_begun() {
        let folder = tempfile::tempdir().unwrap();
        // The names that the next one could have are taken.
        let now = Timestamp::now();
        for second in -1..120 {
            let start = now + SignedDuration::from_secs(second);
            let start_ns = i64::try_from(start.as_nanosecond()).unwrap();
            let stamp = Stamp { start_ns, session: SESSION.to_owned(), number: 1 };
            SegmentWriter::create(folder.path(), &stamp).unwrap();
        }
        let (sender, batches) = queue::bounded(10);
        let logger = spawn(&config(&folder), SESSION, batches, Arc::default()).unwrap();
        let mut batch = sender.empty();
        batch.bytes.extend_from_slice(b"{\"recv_ns\":0,\"conn\":1,\"frame\":{}}\n");
        (batch.lines, batch.frames, batch.messages) = (1, 1, 1);
        // It may have been found full before this is sent.
        drop(sender.send(batch).await);
        let error = logger.join().await.unwrap_err();
        assert!(matches!(error, Error::NextSegment { .. }), "{error:?}");
        let proof = verify(&Archive::open(folder.path()).unwrap(), |_| {});
        let first = proof.segments.first().unwrap();
        assert_eq!(first.state, SegmentState::Proven, "{first:?}");
    }
}
