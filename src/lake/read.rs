//! Rows back out of the lake: those of a market and a time, straight from its files.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fs::{self, File},
    path::Path,
    sync::{Mutex, PoisonError},
};

use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::{
    Error, Lake,
    group::{Group, times},
    manifest::Part,
    order::DAY_NS,
    ordered,
    statistics::{Share, first_and_last, named},
    stored::{self, Stored},
    table,
    wanted::Wanted,
};

/// A file up to this size is small.
const CHECKED_BYTES_MAX: u64 = 1 << 20;

/// The descriptions of files that were read before.
#[derive(Debug, Default)]
pub(super) struct Footers(Mutex<HashMap<String, ArrowReaderMetadata>>);

impl Lake {
    /// Gives the rows wanted to `take`, a batch at a time. Those of one market come in the order of
    /// their days, and then as they were digested, so that those of one stream come in the order of
    /// their numbers.
    pub(crate) fn scan<E: From<Error>>(
        &self,
        wanted: Wanted<'_>,
        mut take: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let (table, groups) = self.find(wanted)?;
        groups.iter().try_for_each(|group| group.read(table, wanted, &mut take))
    }

    /// The time of the last row wanted.
    pub(crate) fn last(&self, wanted: Wanted<'_>) -> Result<Option<i64>, Error> {
        let (table, mut groups) = self.find(wanted)?;
        groups.sort_by_key(|group| Reverse(group.last_ns));
        let wanted = Wanted { columns: &[table.time], ..wanted };
        let mut last = None;
        for group in groups {
            if last.is_some_and(|last| group.last_ns <= last) {
                break;
            }
            group.read(table, wanted, |batch| {
                last = last.max(times(table, batch)?.iter().max().copied());
                Ok::<_, Error>(())
            })?;
        }
        Ok(last)
    }

    /// Sums the rows wanted up with so many threads: `add` takes a batch into one of several sums,
    /// which `join` gets in the order of their rows. How many there are depends on the rows alone.
    pub(crate) fn sum<Sum: Default + Send, E: From<Error> + Send>(
        &self,
        wanted: Wanted<'_>,
        threads: usize,
        add: impl Fn(&mut Sum, &RecordBatch) -> Result<(), E> + Sync,
        mut join: impl FnMut(Sum),
    ) -> Result<(), E> {
        let (table, groups) = self.find(wanted)?;
        let sum = |number: usize| {
            let mut sum = Sum::default();
            let Some(group) = groups.get(number) else { return Ok(sum) };
            group.read(table, wanted, |batch| add(&mut sum, batch))?;
            Ok(sum)
        };
        ordered::each(groups.len(), threads, sum, |sum: Result<Sum, E>| sum.map(&mut join))
    }

    /// When the row groups begin that may hold rows that are wanted, and how many rows they have.
    pub(crate) fn starts(&self, wanted: Wanted<'_>) -> Result<Vec<(i64, usize)>, Error> {
        let (_, groups) = self.find(wanted)?;
        Ok(groups.iter().map(|group| (group.first_ns, group.rows)).collect())
    }

    /// The row groups that may hold rows that are wanted, in their order.
    fn find(&self, wanted: Wanted<'_>) -> Result<(&'static Stored, Vec<Group>), Error> {
        let table = stored::table(wanted.table)?;
        let (from, to) = wanted.times;
        let parts = self.parts(table.name).filter(|part| part.rows > 0);
        let parts = parts.map(|part| (part.day(), part));
        let mut parts: Vec<(Option<i64>, &Part)> = parts
            .filter(|(day, _)| day.is_none_or(|day| day < to && from < day.saturating_add(DAY_NS)))
            .collect();
        // By day, and what may still change last; the order within a day stays.
        parts.sort_by_key(|(day, _)| (day.is_none(), *day));
        let mut groups = Vec::new();
        for (_, part) in parts {
            self.groups(table, part, wanted, &mut groups)?;
        }
        Ok((table, groups))
    }

    /// Adds the row groups of a file that may hold rows that are wanted.
    fn groups(
        &self,
        table: &Stored,
        part: &Part,
        wanted: Wanted<'_>,
        groups: &mut Vec<Group>,
    ) -> Result<(), Error> {
        let (from, to) = wanted.times;
        let file = self.folder().join(&part.path);
        let footer = self.footers.of(table, part, &file)?;
        for (number, group) in footer.metadata().row_groups().iter().enumerate() {
            let named = wanted.ticker.map_or(Share::All, |ticker| named(table, group, ticker));
            let framed = wanted.frames.map_or(Share::All, |frames| frames.share(table, group));
            let (first, last) = first_and_last(table, group);
            if named == Share::None || framed == Share::None || first >= to || last < from {
                continue;
            }
            let mixed = named == Share::Some;
            let inside = from <= first && last < to;
            groups.push(Group {
                file: file.clone(),
                footer: footer.clone(),
                number,
                rows: usize::try_from(group.num_rows()).unwrap_or_default(),
                first_ns: first,
                last_ns: last,
                mixed,
                whole: wanted.ticker.is_none() || !mixed && inside,
                sifted: framed == Share::Some,
            });
        }
        Ok(())
    }
}

impl Footers {
    fn of(&self, table: &Stored, part: &Part, file: &Path) -> Result<ArrowReaderMetadata, Error> {
        let mut footers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(footer) = footers.get(&part.path) {
            return Ok(footer.clone());
        }
        check(part, file)?;
        let open = File::open(file).map_err(|e| Error::file("read", file, e))?;
        let footer = ArrowReaderMetadata::load(&open, typed(table))
            .map_err(|source| Error::parquet("read", file, source))?;
        footers.insert(part.path.clone(), footer.clone());
        Ok(footer)
    }
}

/// A small file, on which all else may hang, is compared with its digest; larger ones only by
/// `kalshi verify`, as that reads them whole. One that differs goes, so that the lake is built anew.
fn check(part: &Part, file: &Path) -> Result<(), Error> {
    if part.stat.bytes > CHECKED_BYTES_MAX || part.has_digest_of(file) {
        return Ok(());
    }
    // Where it cannot be removed, it is met again.
    drop(fs::remove_file(file));
    Err(Error::Damaged(file.to_owned()))
}

/// Reads columns as the types that they were written from, of which files say only a part.
pub(super) fn typed(table: &Stored) -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_schema(table::stored(table.columns()))
}

impl Part {
    /// The first nanosecond of the day whose folder it lies in.
    fn day(&self) -> Option<i64> {
        let (_, rest) = self.path.split_once("/date=")?;
        let date: jiff::civil::Date = rest.split('/').next()?.parse().ok()?;
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond();
        // The first day that there is begins before the first nanosecond.
        Some(i64::try_from(start).unwrap_or(i64::MIN))
    }
}
