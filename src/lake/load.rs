//! Digesting what is new, with several threads.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use xxhash_rust::xxh3::xxh3_128;

use super::{
    Error, SegmentReport,
    digest::{Digester, chain},
    manifest::{Mark, Session},
    news::Job,
    stage::{Ordered, Stage},
    table::Batches,
};
use crate::tape::{Layout, Reader, Segment};

/// Rows in a batch: large enough that a batch costs nothing, small enough to stay in cache.
const BATCH_ROWS: usize = 32_768;

/// After so many lines, it is looked whether a batch is full.
const LINES_BETWEEN: u64 = 256;

/// Rows that wait for a time, with those before them; if there are more, they get the last that is
/// known.
const WAITING_ROWS: usize = 4_000_000;

/// Parts that may wait for the stage before the reading threads do: some 60 MB.
const PARTS_WAITING: usize = 32;

/// A job, and where it goes on.
pub(super) struct Task {
    pub(super) job: Job,
    pub(super) from: From,
}

/// Where a session's digestion goes on.
pub(super) enum From {
    /// At its beginning, under this number.
    Start(u32),
    /// Where it ended, with what was known then.
    State(Session, PathBuf),
}

/// How far a session has come.
pub(super) struct Digested {
    pub(super) name: String,
    /// Without the name of the file for the state.
    pub(super) session: Session,
    /// What is known there, to go on from.
    pub(super) state: Vec<u8>,
}

/// What a digestion found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) sessions: Vec<Digested>,
    pub(super) segments: Vec<SegmentReport>,
    /// Files that could not be opened: that may be otherwise the next time.
    pub(super) closed: Vec<PathBuf>,
}

/// What a reading thread makes of a job.
enum Part {
    /// Rows, and whether they are facts of the session as a whole.
    Rows(Ordered, bool),
    Segment(SegmentReport),
    /// A file that could not be opened.
    Closed(PathBuf),
    Digested(Box<Digested>),
    Failed(Error),
}

/// Digests jobs into a stage. Rows come in the order of each session, and those of several
/// sessions in any order. A file that cannot be read to its end is reported, and the others are
/// read on. `read` counts the bytes of text read; `each` is called now and then.
pub(super) fn digest(
    tasks: &[Task],
    read: &AtomicU64,
    stage: &mut Stage<'_>,
    threads: usize,
    mut each: impl FnMut(),
) -> Result<Found, Error> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = sync_channel(PARTS_WAITING);
    let mut found = Found::default();
    thread::scope(|scope| {
        // Moved in here, so that after a failure nobody waits for it to be asked again.
        let receiver = receiver;
        for _ in 0..threads.min(tasks.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut out = Out { sender: Some(&sender), read };
                    match out.digest(task) {
                        Ok(()) => {}
                        Err(Some(error)) => return drop(out.send(Part::Failed(error))),
                        // The receiver leaves early only with an error of its own.
                        Err(None) => return,
                    }
                }
            });
        }
        drop(sender);
        for part in &receiver {
            each();
            match part {
                Part::Rows(rows, facts) => stage.append(rows, facts)?,
                Part::Segment(segment) => found.segments.push(segment),
                Part::Closed(path) => found.closed.push(path),
                Part::Digested(digested) => found.sessions.push(*digested),
                Part::Failed(error) => return Err(error),
            }
        }
        if found.sessions.len() < tasks.len() { Err(Error::Thread) } else { Ok(()) }
    })?;
    found.segments.sort_by(|a, b| a.path.cmp(&b.path));
    found.sessions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

struct Out<'s> {
    /// Where there is none, it is read for what is known afterwards.
    sender: Option<&'s SyncSender<Part>>,
    read: &'s AtomicU64,
}

/// `None`: nobody listens any more.
type Stopped = Option<Error>;

impl Out<'_> {
    fn send(&mut self, part: Part) -> Result<(), Stopped> {
        self.sender.map_or(Ok(()), |sender| sender.send(part).map_err(|_| None))
    }

    fn digest(&mut self, task: &Task) -> Result<(), Stopped> {
        let name = &task.job.session;
        let (mut digester, mut session, back) = self.read_job(task, u64::MAX)?;
        let (kept, mut end) = if digester.waits() {
            // What waits is told as of the last time known, and met again when there is more: to
            // go on there, it must be known what was known there.
            let (before, since) = digester.take_waiting().map_err(Some)?;
            self.send_rows(before, false)?;
            self.send_rows(since, true)?;
            let mut silent = Out { sender: None, read: &AtomicU64::new(0) };
            let (kept, before, _) = silent.read_job(task, back)?;
            session = before;
            (kept, digester)
        } else {
            self.flush(&mut digester)?;
            let end = digester.fork();
            (digester, end)
        };
        if let Some((_, last)) = task.job.segments.last()
            && last.layout != Layout::Compressed
        {
            let mark = session.mark;
            session.mark = mark.map(|mark| line_at(last, mark.offset).unwrap_or(mark));
        }
        end.finish();
        session.oddities = end.oddities();
        self.send_rows(end.rows.take().map_err(Some)?, true)?;
        let state =
            save(&kept).map_err(|e| Error::file("save the state of", Path::new(name), e))?;
        let digested = Digested { name: name.clone(), session, state };
        self.send(Part::Digested(Box::new(digested)))
    }

    /// Reads what there is of a session, up to an offset in the last segment. Returns what is known
    /// there, how far that is, and where in the last segment records began that wait for a time.
    fn read_job(&mut self, task: &Task, until: u64) -> Result<(Digester, Session, u64), Stopped> {
        let (mut digester, mut session) = match &task.from {
            From::Start(number) => (Digester::new(*number, &task.job.session), session(*number)),
            From::State(session, state) => {
                let mut digester = restore(state).map_err(Some)?;
                digester.name_all();
                (digester, session.clone())
            }
        };
        let mut back = 0;
        let last = task.job.segments.last().map(|(number, _)| *number);
        for (number, segment) in &task.job.segments {
            if digester.waits() {
                digester.settle_all();
            }
            let goes_on = session.segments.last() == Some(number);
            let until = if Some(*number) == last { until } else { u64::MAX };
            let opened = segment.open_at(if goes_on { session.offset } else { 0 });
            digester.start_segment(&segment.path, opened.is_ok() && !goes_on);
            let damage = match opened {
                Err(error) => {
                    self.send(Part::Closed(segment.path.clone()))?;
                    Some(chain(&error))
                }
                Ok(reader) => {
                    if goes_on {
                        check_same(segment, &session)?;
                    } else {
                        (session.offset, session.line, session.mark) = (0, 0, None);
                    }
                    session.segments.insert(*number);
                    self.read(&mut digester, reader, &mut session, until, &mut back)?
                }
            };
            self.send(Part::Segment(digester.end_segment(damage)))?;
        }
        Ok((digester, session, back))
    }

    /// Reads a segment up to an offset, or as far as it goes; what is wrong with it, if anything.
    /// Where records begin to wait for a time, `back` becomes the offset of the first.
    fn read(
        &mut self,
        digester: &mut Digester,
        mut reader: Reader,
        session: &mut Session,
        until: u64,
        back: &mut u64,
    ) -> Result<Option<String>, Stopped> {
        let lines_before = session.line;
        let mut lines = 0_u64;
        while session.offset < until {
            match reader.next_line() {
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(chain(&error))),
                Ok(Some(mut line)) => {
                    line.number += lines_before;
                    let bytes = line.bytes.len() as u64 + u64::from(line.ended);
                    self.read.fetch_add(bytes, Ordering::Relaxed);
                    let (number, start, end) = (line.number, line.offset, line.offset + bytes);
                    let waited = digester.waits();
                    // A torn line may be whole when it is met again.
                    if digester.line(line) {
                        (session.offset, session.line) = (end, number);
                        session.mark = Some(Mark { offset: start, xxh128: String::new() });
                    }
                    if digester.waits() && !waited {
                        *back = start;
                    }
                }
            }
            lines += 1;
            if lines < LINES_BETWEEN {
                continue;
            }
            let rows = digester.rows.longest();
            if digester.waits() {
                if rows >= WAITING_ROWS {
                    digester.settle_all();
                }
                continue;
            }
            lines = 0;
            if rows >= BATCH_ROWS {
                self.flush(digester)?;
            }
        }
        Ok(None)
    }

    fn flush(&mut self, digester: &mut Digester) -> Result<(), Stopped> {
        self.send_rows(digester.rows.take().map_err(Some)?, false)
    }

    /// Sends rows, which tell of frames or are facts of the session as a whole.
    fn send_rows(&mut self, rows: Batches, facts: bool) -> Result<(), Stopped> {
        if rows.is_empty() || self.sender.is_none() {
            return Ok(());
        }
        self.send(Part::Rows(Ordered::of(rows).map_err(Some)?, facts))
    }
}

fn session(number: u32) -> Session {
    let segments = BTreeSet::new();
    Session { number, segments, offset: 0, line: 0, mark: None, state: String::new(), oddities: 0 }
}

/// A segment goes on only where it still has the last line that was read of it. A compressed one is
/// whole and stays as it is.
fn check_same(segment: &Segment, session: &Session) -> Result<(), Stopped> {
    let Some(mark) = session.mark.as_ref().filter(|mark| !mark.xxh128.is_empty()) else {
        return Ok(());
    };
    let same = line_at(segment, mark.offset).is_some_and(|now| now == *mark);
    if same { Ok(()) } else { Err(Some(Error::Replaced(segment.path.clone()))) }
}

/// The line that starts at an offset.
fn line_at(segment: &Segment, offset: u64) -> Option<Mark> {
    let mut reader = segment.open_at(offset).ok()?;
    let line = reader.next_line().ok()??;
    Some(Mark { offset, xxh128: format!("{:032x}", xxh3_128(line.bytes)) })
}

/// A digester as JSON, compressed.
fn save(digester: &Digester) -> io::Result<Vec<u8>> {
    zstd::encode_all(serde_json::to_vec(digester)?.as_slice(), 0)
}

fn restore(path: &Path) -> Result<Digester, Error> {
    let restore = || -> io::Result<Digester> {
        let text = zstd::decode_all(std::fs::File::open(path)?)?;
        Ok(serde_json::from_slice(&text)?)
    };
    restore().map_err(|source| Error::State { path: path.to_owned(), source })
}
