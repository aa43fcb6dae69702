//! Reading a log folder with several threads.

use std::{
    collections::{BTreeMap, HashSet},
    num::NonZero,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use duckdb::arrow::record_batch::RecordBatch;

use super::{
    Error, LoadReport, SegmentReport,
    digest::{Digester, chain},
    registry::Registry,
    source::{Source, sources},
    table::Rows,
};
use crate::tape::Archive;

/// Rows in a batch: large enough that a batch costs nothing, small enough to stay in cache.
const BATCH_ROWS: usize = 32_768;

/// Parts that may wait for the sink before the reading threads do: some 60 MB.
const PARTS_WAITING: usize = 32;

/// Takes rows.
pub trait Sink {
    /// Stores a batch of rows of a table.
    ///
    /// # Errors
    /// [`Error::Store`].
    fn append(&mut self, table: &'static str, batch: RecordBatch) -> Result<(), Error>;
}

/// Reads log folders into a [`Sink`]; knows what it has read.
#[derive(Debug, Default)]
pub struct Loader {
    registry: Registry,
    known: HashSet<String>,
}

/// What a reading thread makes of a source, in order.
enum Part {
    Batch(&'static str, RecordBatch),
    Segment(SegmentReport),
    Failed(Error),
    Done,
}

impl Loader {
    /// Reads a log folder, or a single file. Files read before are not read again.
    ///
    /// The rows come to the sink in the order of the sessions, whatever the number of threads. A
    /// file that cannot be read to its end is reported, and the others are read on.
    ///
    /// # Errors
    /// [`Error::Tape`] where the folder cannot be listed, and those of the sink.
    pub fn load(
        &mut self,
        folder: impl AsRef<Path>,
        sink: &mut impl Sink,
    ) -> Result<LoadReport, Error> {
        let archive = Archive::open(folder).map_err(Error::Tape)?;
        let (sources, known) = sources(&archive, &mut self.known);
        let mut report = LoadReport { foreign: archive.foreign, known, ..LoadReport::default() };
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(sources.len());
        let (registry, sources) = (&self.registry, sources.as_slice());
        let next = AtomicUsize::new(0);
        let (sender, receiver) = sync_channel(PARTS_WAITING);
        thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while let Some((turn, source)) = take(sources, next) {
                        // The receiver leaves early only with an error of its own.
                        if read(source, registry, |part| sender.send((turn, part)).is_ok())
                            .is_none()
                        {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            merge(receiver, sources.len(), &mut report, sink)
        })?;
        let mut rows = Rows::default();
        self.registry.take_markets(&mut rows);
        for (table, batch) in rows.take()? {
            sink.append(table, batch)?;
        }
        Ok(report)
    }
}

fn take<'s>(sources: &'s [Source], next: &AtomicUsize) -> Option<(usize, &'s Source)> {
    let turn = next.fetch_add(1, Ordering::Relaxed);
    Some((turn, sources.get(turn)?))
}

/// Passes parts on in the order of their sources. What comes before its turn waits here.
fn merge(
    receiver: Receiver<(usize, Part)>,
    sources: usize,
    report: &mut LoadReport,
    sink: &mut impl Sink,
) -> Result<(), Error> {
    let mut waiting: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
    let mut turn = 0;
    while turn < sources {
        let mut ready = waiting.remove(&turn).unwrap_or_default();
        if ready.is_empty() {
            let (of, part) = receiver.recv().map_err(|_| Error::Thread)?;
            if of != turn {
                waiting.entry(of).or_default().push(part);
                continue;
            }
            ready.push(part);
        }
        for part in ready {
            match part {
                Part::Batch(table, batch) => sink.append(table, batch)?,
                Part::Segment(segment) => report.segments.push(segment),
                Part::Failed(error) => return Err(error),
                Part::Done => turn += 1,
            }
        }
    }
    Ok(())
}

/// Digests one source. `None` when nobody listens any more.
fn read(source: &Source, registry: &Registry, send: impl Fn(Part) -> bool) -> Option<()> {
    let mut digester = Digester::new(registry, &source.session);
    for segment in &source.segments {
        digester.start_segment(&segment.path);
        let damage = match segment.open() {
            Err(error) => Some(chain(&error)),
            Ok(mut reader) => loop {
                match reader.next_line() {
                    Ok(None) => break None,
                    Err(error) => break Some(chain(&error)),
                    Ok(Some(line)) => digester.line(line),
                }
                if digester.rows.longest() >= BATCH_ROWS && !digester.untimed {
                    flush(&mut digester.rows, &send)?;
                }
            },
        };
        send(Part::Segment(digester.end_segment(damage))).then_some(())?;
    }
    digester.finish();
    flush(&mut digester.rows, &send)?;
    send(Part::Done).then_some(())
}

fn flush(rows: &mut Rows, send: impl Fn(Part) -> bool) -> Option<()> {
    let batches = match rows.take() {
        Ok(batches) => batches,
        Err(error) => {
            send(Part::Failed(error));
            return None;
        }
    };
    for (table, batch) in batches {
        send(Part::Batch(table, batch)).then_some(())?;
    }
    Some(())
}
