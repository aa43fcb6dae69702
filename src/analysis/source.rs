//! Rows of one market out of all lakes.

use std::collections::BTreeSet;

use arrow::{array::AsArray, record_batch::RecordBatch};

use super::{Error, interrupt::Going};
use crate::lake::{Frames, Lake, Lakes, Wanted, below, ordered};

/// Where the rows of a market come from, until the question is stopped.
pub(super) struct Source<'l> {
    pub(super) lakes: &'l Lakes,
    pub(super) threads: usize,
    pub(super) going: Going,
    pub(super) ticker: String,
}

impl Source<'_> {
    /// Reads rows of this market from each lake in turn; see [`Lake::scan`]. `take` also gets the
    /// lake's place, which [`crate::lake::above`] puts into the numbers of its rows.
    pub(super) fn scan(
        &self,
        table: &'static str,
        columns: &[&'static str],
        times: (i64, i64),
        take: impl FnMut(usize, &RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.scan_wanted(self.wanted(table, columns, times), take)
    }

    /// Reads the rows of all markets.
    pub(super) fn scan_all(
        &self,
        table: &'static str,
        columns: &[&'static str],
        take: impl FnMut(usize, &RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.scan_wanted(Wanted::all(table, columns), take)
    }

    fn scan_wanted(
        &self,
        wanted: Wanted<'_>,
        mut take: impl FnMut(usize, &RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (place, lake) in self.lakes.iter().enumerate() {
            lake.scan(wanted, |batch| {
                self.going.on()?;
                take(place, batch)
            })?;
        }
        Ok(())
    }

    /// Reads rows of this market that frames of a stream made, in the order of their numbers.
    pub(super) fn scan_frames(
        &self,
        table: &'static str,
        columns: &[&'static str],
        times: (i64, i64),
        frames: Frames,
        mut take: impl FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some((lake, frames)) = self.lake_of(frames) else { return Ok(()) };
        let wanted = Wanted { frames: Some(frames), ..self.wanted(table, columns, times) };
        lake.scan(wanted, |batch| {
            self.going.on()?;
            take(batch)
        })
    }

    /// The time of the last row of this market that frames of a stream made.
    pub(super) fn last_of_frames(
        &self,
        table: &'static str,
        times: (i64, i64),
        frames: Frames,
    ) -> Result<Option<i64>, Error> {
        let Some((lake, frames)) = self.lake_of(frames) else { return Ok(None) };
        Ok(lake.last(Wanted { frames: Some(frames), ..self.wanted(table, &[], times) })?)
    }

    /// Instants that cut a time so that each thread will have about as many rows to read.
    pub(super) fn cuts(&self, table: &'static str, times: (i64, i64)) -> Result<Vec<i64>, Error> {
        let wanted = self.wanted(table, &[], times);
        let mut starts = Vec::new();
        for lake in self.lakes.iter() {
            starts.extend(lake.starts(wanted)?);
        }
        starts.sort_unstable();
        let all: usize = starts.iter().map(|(_, rows)| rows).sum();
        let each = all.div_ceil(self.threads.max(1)).max(1);
        let (mut cuts, mut rows) = (Vec::new(), 0);
        for (start_ns, of_group) in starts {
            if rows >= each * (cuts.len() + 1) {
                cuts.push(start_ns);
            }
            rows += of_group;
        }
        Ok(cuts)
    }

    /// Sums rows of this market up with several threads; see `Lake::sum`. `add` also gets the lake's
    /// place.
    pub(super) fn sum<Sum: Default + Send>(
        &self,
        table: &'static str,
        columns: &[&'static str],
        times: (i64, i64),
        add: impl Fn(&mut Sum, usize, &RecordBatch) -> Result<(), Error> + Sync,
        mut join: impl FnMut(Sum),
    ) -> Result<(), Error> {
        let wanted = self.wanted(table, columns, times);
        for (place, lake) in self.lakes.iter().enumerate() {
            let add = |sum: &mut Sum, batch: &RecordBatch| {
                self.going.on()?;
                add(sum, place, batch)
            };
            lake.sum(wanted, self.threads, add, &mut join)?;
        }
        Ok(())
    }

    /// Makes so many items with several threads, and gives them to `take` in their order.
    pub(super) fn each<Item: Send>(
        &self,
        count: usize,
        make: impl Fn(usize) -> Result<Item, Error> + Sync,
        mut take: impl FnMut(Item),
    ) -> Result<(), Error> {
        ordered::each(count, self.threads, make, |item| item.map(&mut take))
    }

    /// Whether a session of a lake counts: no earlier one has it, too.
    pub(super) fn counts(&self, place: usize, session: &str) -> bool {
        !self.lakes.has_before(place, session)
    }

    /// Rows of this market.
    fn wanted<'w>(
        &'w self,
        table: &'static str,
        columns: &'w [&'static str],
        times: (i64, i64),
    ) -> Wanted<'w> {
        Wanted { ticker: Some(&self.ticker), times, ..Wanted::all(table, columns) }
    }

    /// The lake that has a stream, and the frames as it has them.
    fn lake_of(&self, frames: Frames) -> Option<(&Lake, Frames)> {
        let (place, stream) = below(frames.stream);
        Some((self.lakes.iter().nth(place)?, Frames { stream, ..frames }))
    }
}

/// The names of all markets.
pub(super) fn tickers(lakes: &Lakes) -> Result<Vec<String>, Error> {
    let mut tickers = BTreeSet::new();
    let wanted = Wanted::all("presence", &["ticker"]);
    for lake in lakes.iter() {
        lake.scan(wanted, |batch| {
            let names =
                batch.column_by_name("ticker").and_then(|names| names.as_any_dictionary_opt());
            let names = names.and_then(|names| names.values().as_string_opt::<i32>());
            let names = names.ok_or(Error::Column("ticker"))?;
            tickers.extend(names.iter().flatten().map(str::to_owned));
            Ok::<_, Error>(())
        })?;
    }
    Ok(tickers.into_iter().collect())
}
