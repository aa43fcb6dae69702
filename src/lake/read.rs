//! Rows back out of the lake: those of a market and a time, straight from its files.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    compute::filter_record_batch,
    datatypes::{Int64Type, UInt32Type, UInt64Type},
    record_batch::RecordBatch,
};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelector,
        },
    },
    file::{metadata::RowGroupMetaData, statistics::Statistics},
};

use super::{
    Error, Lake,
    manifest::Part,
    order::DAY_NS,
    ordered,
    stored::{self, Stored},
    table,
};

/// Which rows are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'w> {
    pub(crate) table: &'static str,
    /// The columns to read.
    pub(crate) columns: &'w [&'static str],
    /// Those of one market; of all where there is none.
    pub(crate) ticker: Option<&'w str>,
    /// Those of a time, `[from, to)` in ns since the epoch. Without a market, some outside it may
    /// come, too.
    pub(crate) times: (i64, i64),
    /// Those of some frames; of all where there are none.
    pub(crate) frames: Option<Frames>,
}

/// Frames of a stream, whose numbers are in `[from, to]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) stream: u64,
    pub(crate) numbers: (i64, i64),
}

/// A file up to this size is small.
const CHECKED_BYTES_MAX: u64 = 1 << 20;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8_192;

/// All of time.
pub(crate) const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);

/// The descriptions of files that were read before.
#[derive(Debug, Default)]
pub(super) struct Footers(Mutex<HashMap<String, ArrowReaderMetadata>>);

/// Some rows of a file that stand together.
struct Group {
    file: PathBuf,
    footer: ArrowReaderMetadata,
    number: usize,
    rows: usize,
    /// The first and last time of any.
    first_ns: i64,
    last_ns: i64,
    /// Whether they may be of several markets.
    mixed: bool,
    /// Whether all of them are of the market and time wanted.
    whole: bool,
    /// Whether some may be of other frames than those wanted.
    sifted: bool,
}

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
        let mut parts: Vec<&Part> = self.parts(table.name).collect();
        // By day; the order within a day stays.
        parts.sort_by_cached_key(|part| part.day());
        let mut groups = Vec::new();
        for part in parts {
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
        let other_day =
            part.day().is_some_and(|day| day >= to || day.saturating_add(DAY_NS) <= from);
        if part.rows == 0 || other_day {
            return Ok(());
        }
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
        i64::try_from(start).ok()
    }
}

impl Group {
    /// Gives the rows wanted to `take`, in batches that stay in a processor's cache.
    fn read<E: From<Error>>(
        &self,
        table: &Stored,
        wanted: Wanted<'_>,
        mut take: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = match wanted.ticker.filter(|_| !self.whole) {
            None => 0..self.rows,
            Some(ticker) => self.find(table, ticker, wanted.times)?,
        };
        if rows.is_empty() {
            return Ok(());
        }
        let Some(frames) = wanted.frames.filter(|_| self.sifted) else {
            return self.decode(wanted.columns, rows)?.try_for_each(|batch| take(&batch?));
        };
        let columns = [wanted.columns, &["stream", "seq"]].concat();
        self.decode(&columns, rows)?.try_for_each(|batch| take(&frames.sift(table, &batch?)?))
    }

    /// The rows of a market and a time, which stand together: rows are sorted by both.
    fn find(
        &self,
        table: &Stored,
        ticker: &str,
        (from, to): (i64, i64),
    ) -> Result<Range<usize>, Error> {
        let first = table.first.filter(|_| self.mixed);
        let columns: Vec<&str> = first.into_iter().chain([table.time]).collect();
        let (mut start, mut end) = (0, 0);
        let mut found = None;
        for batch in self.decode(&columns, 0..self.rows)? {
            let batch = batch?;
            let rows = batch.num_rows();
            let (mut low, mut high) = (0, rows);
            if let Some(first) = first {
                let names =
                    batch.column_by_name(first).ok_or_else(|| Error::column(table, first))?;
                low = partition(low, high, |row| text_at(names, row) < ticker);
                high = partition(low, high, |row| text_at(names, row) <= ticker);
            }
            let times = times(table, &batch)?;
            let at = |row: usize| times.get(row).copied().unwrap_or(i64::MAX);
            low = partition(low, high, |row| at(row) < from);
            high = partition(low, high, |row| at(row) < to);
            if low < high {
                found = Some((found.map_or(start + low, |(first, _)| first), start + high));
            }
            start += rows;
            end = start;
        }
        Ok(found.map_or(end..end, |(first, last)| first..last))
    }

    fn decode(
        &self,
        columns: &[&str],
        rows: Range<usize>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, Error>>, Error> {
        let fail = |source| Error::parquet("read", &self.file, source);
        let open = File::open(&self.file).map_err(|e| Error::file("read", &self.file, e))?;
        let mask = ProjectionMask::columns(self.footer.parquet_schema(), columns.iter().copied());
        let mut reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(open, self.footer.clone())
                .with_row_groups(vec![self.number])
                .with_projection(mask)
                .with_batch_size(BATCH_ROWS);
        if rows != (0..self.rows) {
            let selection = vec![
                RowSelector::skip(rows.start),
                RowSelector::select(rows.len()),
                RowSelector::skip(self.rows.saturating_sub(rows.end)),
            ];
            reader = reader.with_row_selection(selection.into());
        }
        Ok(reader.build().map_err(fail)?.map(move |batch| batch.map_err(|e| fail(e.into()))))
    }
}

/// The first place in `[start, end)` for which `before` does not hold.
fn partition(mut start: usize, mut end: usize, before: impl Fn(usize) -> bool) -> usize {
    while start < end {
        let middle = start + (end - start) / 2;
        if before(middle) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}

fn text_at(column: &ArrayRef, row: usize) -> &str {
    if let Some(words) = column.as_dictionary_opt::<UInt32Type>() {
        let Some(texts) = words.values().as_string_opt::<i32>() else { return "" };
        return words
            .key(row)
            .map_or("", |key| if key < texts.len() { texts.value(key) } else { "" });
    }
    match column.as_string_opt::<i32>() {
        Some(texts) if texts.is_valid(row) => texts.value(row),
        _ => "",
    }
}

/// How many rows of a row group may be wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    None,
    Some,
    All,
}

/// What the statistics of a row group say of a market's name. Long names are cut in them, towards
/// the safe side.
fn named(table: &Stored, group: &RowGroupMetaData, ticker: &str) -> Share {
    let statistics = table.first.and_then(|first| statistics(table, group, first));
    let Some(Statistics::ByteArray(texts)) = statistics else { return Share::Some };
    let (Some(min), Some(max)) = (texts.min_opt(), texts.max_opt()) else { return Share::Some };
    let (min, max) = (min.data(), max.data());
    if ticker.as_bytes() < min || max < ticker.as_bytes() {
        return Share::None;
    }
    let exact = texts.min_is_exact() && texts.max_is_exact() && texts.null_count_opt() == Some(0);
    if exact && min == max { Share::All } else { Share::Some }
}

impl Frames {
    /// What the statistics of a row group say of these frames.
    fn share(self, table: &Stored, group: &RowGroupMetaData) -> Share {
        let stream = i64::try_from(self.stream).unwrap_or(i64::MAX);
        let columns = [("stream", (stream, stream)), ("seq", self.numbers)];
        let shares = columns.map(|(column, (from, to))| {
            let Some(Statistics::Int64(numbers)) = statistics(table, group, column) else {
                return Share::Some;
            };
            match (numbers.min_opt(), numbers.max_opt(), numbers.null_count_opt()) {
                (Some(min), Some(max), _) if *max < from || to < *min => Share::None,
                (Some(min), Some(max), Some(0)) if from <= *min && *max <= to => Share::All,
                _ => Share::Some,
            }
        });
        match shares {
            [Share::None, _] | [_, Share::None] => Share::None,
            [Share::All, Share::All] => Share::All,
            _ => Share::Some,
        }
    }

    /// The rows of these frames.
    fn sift(self, table: &Stored, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let column = |name: &'static str| {
            batch.column_by_name(name).ok_or_else(|| Error::column(table, name))
        };
        let (streams, numbers) = (column("stream")?, column("seq")?);
        let (first, last) = self.numbers;
        let streams = streams.as_primitive_opt::<UInt64Type>().map(|streams| streams.values());
        let numbers = numbers.as_primitive_opt::<Int64Type>();
        let (Some(streams), Some(numbers)) = (streams, numbers) else {
            return Err(Error::column(table, "stream"));
        };
        let rows = streams.iter().zip(numbers);
        let wanted: BooleanArray = rows
            .map(|(stream, number)| {
                Some(*stream == self.stream && number.is_some_and(|n| first <= n && n <= last))
            })
            .collect();
        filter_record_batch(batch, &wanted)
            .map_err(|source| Error::Batch { table: table.name, source })
    }
}

/// The times that rows are chosen by.
fn times<'b>(table: &Stored, batch: &'b RecordBatch) -> Result<&'b [i64], Error> {
    let times = batch.column_by_name(table.time);
    let times = times.and_then(|column| column.as_primitive_opt::<Int64Type>());
    Ok(times.ok_or_else(|| Error::column(table, table.time))?.values())
}

/// The first and last time of a row group; all of time where it does not say.
fn first_and_last(table: &Stored, group: &RowGroupMetaData) -> (i64, i64) {
    let (mut first, mut last) = ALWAYS;
    if let Some(Statistics::Int64(times)) = statistics(table, group, table.time) {
        first = times.min_opt().copied().unwrap_or(first);
        last = times.max_opt().copied().unwrap_or(last);
    }
    (first, last)
}

fn statistics<'g>(
    table: &Stored,
    group: &'g RowGroupMetaData,
    column: &str,
) -> Option<&'g Statistics> {
    let place = table.columns().iter().position(|spec| spec.name == column)?;
    group.columns().get(place)?.statistics()
}
