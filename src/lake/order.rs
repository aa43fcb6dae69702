//! In which order gathered rows are stored: by day, by name, then by time.

use std::collections::{BTreeMap, HashMap};

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Int64Type, UInt64Type},
    record_batch::RecordBatch,
};

use super::{Error, ids::Number, stored::Stored};

/// The length of a UTC day.
pub(super) const DAY_NS: i64 = 86_400_000_000_000;

/// The most whole numbers that a table is sorted by.
const NUMBERS_MAX: usize = 3;

/// Where a row is: its batch, and its place in that.
pub(super) type Place = (usize, usize);

/// Rows that go to one file, in their order.
#[derive(Debug)]
pub(super) struct Group {
    /// The first nanosecond of their day, where the table lies in folders by day.
    pub(super) day_ns: Option<i64>,
    pub(super) rows: Vec<Place>,
}

/// The names of markets by their numbers.
pub(super) type Names = HashMap<Number, String>;

#[derive(Clone, Default)]
struct Row {
    bucket: usize,
    key: [i64; NUMBERS_MAX],
    place: Place,
}

/// Puts the rows of a table in order. Those that nothing tells apart stay as they came.
pub(super) fn groups(
    table: &Stored,
    batches: &[RecordBatch],
    names: &Names,
    by_day: bool,
) -> Result<Vec<Group>, Error> {
    let days = if by_day { days(table, batches)? } else { Vec::new() };
    let (ranks, ranks_end) = ranks(table, batches, names)?;
    let mut rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (batch, (values, ranks)) in batches.iter().zip(ranks).enumerate() {
        let mut keys = vec![[0; NUMBERS_MAX]; values.num_rows()];
        for (number, name) in table.then.iter().enumerate() {
            let column = whole_numbers(table, values, name)?;
            for (key, value) in keys.iter_mut().filter_map(|key| key.get_mut(number)).zip(column) {
                *key = value;
            }
        }
        let times = whole_numbers(table, values, table.time)?;
        for (row, ((key, rank), time)) in keys.into_iter().zip(ranks).zip(times).enumerate() {
            let day = days.binary_search(&day_of(time)).unwrap_or_default();
            rows.push(Row { bucket: day * ranks_end + rank, key, place: (batch, row) });
        }
    }
    let buckets = days.len().max(1) * ranks_end;
    let mut groups = Vec::new();
    sort(&mut rows, buckets);
    for day in rows.chunk_by(|a, b| a.bucket / ranks_end == b.bucket / ranks_end) {
        let number = day.first().map_or(0, |row| row.bucket / ranks_end);
        groups.push(Group {
            day_ns: days.get(number).copied(),
            rows: day.iter().map(|row| row.place).collect(),
        });
    }
    Ok(groups)
}

/// The start of the UTC day of a time.
pub(super) fn day_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(DAY_NS).saturating_mul(DAY_NS)
}

/// Rows by bucket, then by key. Rows of one market mostly come in order, so that only few buckets
/// have to be sorted.
fn sort(rows: &mut Vec<Row>, buckets: usize) {
    if rows.is_sorted_by_key(|row| (row.bucket, row.key)) {
        return;
    }
    // Many markets over many days: there would be more buckets than rows.
    if buckets > rows.len() {
        return rows.sort_by_key(|row| (row.bucket, row.key));
    }
    let mut starts = vec![0_usize; buckets + 1];
    for row in &*rows {
        if let Some(count) = starts.get_mut(row.bucket + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut placed = vec![Row::default(); rows.len()];
    for row in rows.drain(..) {
        let Some(start) = starts.get_mut(row.bucket) else { continue };
        if let Some(place) = placed.get_mut(*start) {
            *place = row;
        }
        *start += 1;
    }
    *rows = placed;
    for bucket in rows.chunk_by_mut(|a, b| a.bucket == b.bucket) {
        if !bucket.is_sorted_by_key(|row| row.key) {
            bucket.sort_by_key(|row| row.key);
        }
    }
}

/// The days that rows fall on.
fn days(table: &Stored, batches: &[RecordBatch]) -> Result<Vec<i64>, Error> {
    let mut days = Vec::new();
    for batch in batches {
        for time in whole_numbers(table, batch, table.time)? {
            let day = day_of(time);
            if days.last() != Some(&day) {
                days.push(day);
            }
        }
    }
    days.sort_unstable();
    days.dedup();
    Ok(days)
}

/// For each row the place of its first text among all; and how many there are.
fn ranks(
    table: &Stored,
    batches: &[RecordBatch],
    names: &Names,
) -> Result<(Vec<Vec<usize>>, usize), Error> {
    let Some(first) = table.first else {
        return Ok((batches.iter().map(|batch| vec![0; batch.num_rows()]).collect(), 1));
    };
    let missing = || Error::column(table, first);
    let column =
        batches.first().and_then(|batch| batch.column_by_name(first)).ok_or_else(missing)?;
    let mut texts: BTreeMap<&str, usize> = BTreeMap::new();
    if *column.data_type() == DataType::UInt64 {
        let mut ranks: HashMap<Number, usize> = HashMap::new();
        let columns = batches.iter().map(|batch| {
            batch.column_by_name(first).and_then(|c| c.as_primitive_opt::<UInt64Type>())
        });
        let columns = columns.collect::<Option<Vec<_>>>().ok_or_else(missing)?;
        // The next row is mostly of the same market.
        let mut last = None;
        for market in columns.iter().flat_map(|column| column.values()) {
            if last.replace(*market) == Some(*market) || ranks.contains_key(market) {
                continue;
            }
            let name = names.get(market).ok_or(Error::Unnamed { table: table.name })?;
            texts.insert(name, 0);
            ranks.insert(*market, 0);
        }
        number(&mut texts);
        for (market, rank) in &mut ranks {
            *rank = names.get(market).and_then(|name| texts.get(&**name)).copied().unwrap_or(0);
        }
        let mut last = (None, 0);
        let mut rank = |market: &Number| {
            if last.0 != Some(*market) {
                last = (Some(*market), ranks.get(market).copied().unwrap_or_default());
            }
            last.1
        };
        let found = columns.iter().map(|column| column.values().iter().map(&mut rank).collect());
        return Ok((found.collect(), texts.len().max(1)));
    }
    let columns = batches
        .iter()
        .map(|batch| batch.column_by_name(first).and_then(|column| column.as_string_opt::<i32>()));
    let columns = columns.collect::<Option<Vec<_>>>().ok_or_else(missing)?;
    for column in &columns {
        texts.extend(column.iter().map(|text| (text.unwrap_or_default(), 0)));
    }
    number(&mut texts);
    let rank = |text: Option<&str>| texts.get(text.unwrap_or_default()).copied().unwrap_or(0);
    let found = columns.iter().map(|column| column.iter().map(rank).collect());
    Ok((found.collect(), texts.len().max(1)))
}

fn number(texts: &mut BTreeMap<&str, usize>) {
    for (place, rank) in texts.values_mut().enumerate() {
        *rank = place;
    }
}

/// A column of whole numbers; an absent one comes first.
fn whole_numbers(
    table: &Stored,
    batch: &RecordBatch,
    name: &'static str,
) -> Result<Vec<i64>, Error> {
    let column = batch.column_by_name(name).ok_or_else(|| Error::column(table, name))?;
    if let Some(column) = column.as_primitive_opt::<UInt64Type>() {
        return Ok(column.values().iter().map(|value| value.cast_signed()).collect());
    }
    let column =
        column.as_primitive_opt::<Int64Type>().ok_or_else(|| Error::column(table, name))?;
    if column.null_count() == 0 {
        return Ok(column.values().to_vec());
    }
    Ok(column.iter().map(|value| value.unwrap_or(i64::MIN)).collect())
}
