//! Rows of one row group, out of its file.

use std::{fs::File, ops::Range, path::PathBuf};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    compute::filter_record_batch,
    datatypes::{Int64Type, UInt32Type, UInt64Type},
    record_batch::RecordBatch,
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelector},
};

use super::{
    Error,
    stored::Stored,
    wanted::{Frames, Wanted},
};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8_192;

/// Some rows of a file that stand together.
pub(super) struct Group {
    pub(super) file: PathBuf,
    pub(super) footer: ArrowReaderMetadata,
    pub(super) number: usize,
    pub(super) rows: usize,
    /// The first and last time of any.
    pub(super) first_ns: i64,
    pub(super) last_ns: i64,
    /// Whether they may be of several markets.
    pub(super) mixed: bool,
    /// Whether all of them are of the market and time wanted.
    pub(super) whole: bool,
    /// Whether some may be of other frames than those wanted.
    pub(super) sifted: bool,
}

impl Group {
    /// Gives the rows wanted to `take`, in batches that stay in a processor's cache.
    pub(super) fn read<E: From<Error>>(
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

impl Frames {
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
pub(super) fn times<'b>(table: &Stored, batch: &'b RecordBatch) -> Result<&'b [i64], Error> {
    let times = batch.column_by_name(table.time);
    let times = times.and_then(|column| column.as_primitive_opt::<Int64Type>());
    Ok(times.ok_or_else(|| Error::column(table, table.time))?.values())
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
