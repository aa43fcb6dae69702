//! In which order gathered rows are stored: by day, by name, then by time.
//!
//! Each batch is sorted by the thread that made it, into runs of one day and name. Of all batches
//! only the runs are sorted then, which are far fewer than the rows.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, StringArray, UInt32Array},
    compute::take,
    datatypes::{Int64Type, UInt64Type},
    record_batch::RecordBatch,
};

use super::{Error, ids::Number, stored::Stored};

/// The length of a UTC day.
pub(super) const DAY_NS: i64 = 86_400_000_000_000;

/// The most whole numbers that a table is sorted by.
const NUMBERS_MAX: usize = 3;

/// What rows of one day and name are sorted by.
type Key = [i64; NUMBERS_MAX];

/// A batch in order, and the runs of rows of one day and name that it consists of.
#[derive(Debug)]
pub(super) struct Sorted {
    pub(super) batch: RecordBatch,
    runs: Vec<Range<usize>>,
}

/// Rows that stand together: their batch, and their places in it.
pub(super) type Slice = (usize, Range<usize>);

/// Rows that go to one file, in their order.
#[derive(Debug)]
pub(super) struct Group {
    /// The first nanosecond of their day, where the table lies in folders by day.
    pub(super) day_ns: Option<i64>,
    pub(super) rows: Vec<Slice>,
}

/// The names of markets by their numbers.
pub(super) type Names = HashMap<Number, String>;

/// Puts the rows of a batch in order. Those that nothing tells apart stay as they came.
pub(super) fn sorted(table: &Stored, batch: RecordBatch) -> Result<Sorted, Error> {
    let keys = Keys::of(table, &batch)?;
    let mut order = keys.by_name(batch.num_rows());
    for rows in order.chunk_by_mut(|a, b| keys.is_same_name(*a, *b)) {
        // Rows of one market mostly come in order.
        if !rows.is_sorted_by_key(|row| keys.key(*row)) {
            rows.sort_by_key(|row| keys.key(*row));
        }
    }
    let mut runs = Vec::new();
    let mut start = 0;
    for run in order.chunk_by(|a, b| keys.is_same_name(*a, *b) && keys.day(*a) == keys.day(*b)) {
        runs.push(start..start + run.len());
        start += run.len();
    }
    if order.is_sorted() {
        return Ok(Sorted { batch, runs });
    }
    let places = order.iter().map(|row| u32::try_from(*row).unwrap_or(u32::MAX));
    let places = UInt32Array::from_iter_values(places);
    let fail = |source| Error::Batch { table: table.name, source };
    let columns = batch.columns().iter().map(|column| take(column, &places, None));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    let batch = RecordBatch::try_new(batch.schema(), columns).map_err(fail)?;
    Ok(Sorted { batch, runs })
}

/// A run among those of all batches.
struct Run {
    day_ns: i64,
    rank: usize,
    first: Key,
    last: Key,
    rows: Slice,
}

/// Puts the rows of sorted batches in order. Those that nothing tells apart stay as they came.
pub(super) fn groups(
    table: &Stored,
    batches: &[Sorted],
    names: &Names,
    by_day: bool,
) -> Result<Vec<Group>, Error> {
    let keys = batches.iter().map(|sorted| Keys::of(table, &sorted.batch));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let ranks = ranks(table, batches, &keys, names)?;
    let mut runs = Vec::new();
    for (place, (sorted, keys)) in batches.iter().zip(&keys).enumerate() {
        for rows in &sorted.runs {
            let last = rows.end.saturating_sub(1);
            runs.push(Run {
                day_ns: if by_day { keys.day(rows.start) } else { 0 },
                rank: keys
                    .name(rows.start, names)
                    .and_then(|name| ranks.get(name))
                    .map_or(0, |r| *r),
                first: keys.key(rows.start),
                last: keys.key(last),
                rows: (place, rows.clone()),
            });
        }
    }
    runs.sort_by_key(|run| (run.day_ns, run.rank, run.first));
    let mut groups = Vec::new();
    for day in runs.chunk_by(|a, b| a.day_ns == b.day_ns) {
        let mut rows = Vec::with_capacity(day.len());
        for of_name in day.chunk_by(|a, b| a.rank == b.rank) {
            // Of equal rows those of the earlier batch come first.
            let follows = |a: &Run, b: &Run| (a.last, a.rows.0) <= (b.first, b.rows.0);
            if of_name.is_sorted_by(follows) {
                rows.extend(of_name.iter().map(|run| run.rows.clone()));
            } else {
                rows.extend(merged(of_name, &keys));
            }
        }
        let day_ns = day.first().filter(|_| by_day).map(|run| run.day_ns);
        groups.push(Group { day_ns, rows });
    }
    Ok(groups)
}

/// The rows of runs that lie in each other, one by one.
fn merged(runs: &[Run], keys: &[Keys<'_>]) -> Vec<Slice> {
    let mut rows: Vec<(Key, usize, usize)> = Vec::new();
    for (place, range) in runs.iter().map(|run| &run.rows) {
        let Some(keys) = keys.get(*place) else { continue };
        rows.extend(range.clone().map(|row| (keys.key(row), *place, row)));
    }
    rows.sort_unstable();
    let mut slices: Vec<Slice> = Vec::new();
    for (_, place, row) in rows {
        match slices.last_mut().filter(|(last, rows)| *last == place && rows.end == row) {
            Some((_, rows)) => rows.end += 1,
            None => slices.push((place, row..row + 1)),
        }
    }
    slices
}

/// The start of the UTC day of a time.
pub(super) fn day_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(DAY_NS).saturating_mul(DAY_NS)
}

/// The place of each name among all, in the order of the alphabet.
fn ranks<'n>(
    table: &Stored,
    batches: &[Sorted],
    keys: &'n [Keys<'_>],
    names: &'n Names,
) -> Result<HashMap<&'n str, usize>, Error> {
    let mut texts = BTreeSet::new();
    for (sorted, keys) in batches.iter().zip(keys) {
        for run in &sorted.runs {
            let name = keys.name(run.start, names);
            texts.insert(name.ok_or(Error::Unnamed { table: table.name })?);
        }
    }
    Ok(texts.into_iter().enumerate().map(|(rank, name)| (name, rank)).collect())
}

/// What the rows of a batch are sorted by.
struct Keys<'b> {
    first: First<'b>,
    then: Vec<Numbers<'b>>,
    times: Numbers<'b>,
}

/// The column that rows are sorted by first.
enum First<'b> {
    None,
    Market(&'b [Number]),
    Text(&'b StringArray),
}

/// A column of whole numbers, in which an absent one comes first.
enum Numbers<'b> {
    All(&'b [i64]),
    Some(&'b Int64Array),
    Own(&'b [Number]),
}

impl<'b> Keys<'b> {
    fn of(table: &Stored, batch: &'b RecordBatch) -> Result<Self, Error> {
        let column = |name: &'static str| {
            batch.column_by_name(name).ok_or_else(|| Error::column(table, name))
        };
        let numbers = |name| Numbers::of(column(name)?).ok_or_else(|| Error::column(table, name));
        let first = match table.first {
            None => First::None,
            Some(name) => First::of(column(name)?).ok_or_else(|| Error::column(table, name))?,
        };
        let then = table.then.iter().map(|name| numbers(name)).collect::<Result<_, _>>()?;
        Ok(Self { first, then, times: numbers(table.time)? })
    }

    /// The rows, those of one name together, else as they come.
    fn by_name(&self, rows: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..rows).collect();
        match self.first {
            First::None => {}
            First::Text(texts) => {
                let text = |row: &usize| texts.is_valid(*row).then(|| texts.value(*row));
                order.sort_by(|a, b| text(a).cmp(&text(b)));
            }
            First::Market(markets) => {
                let mut numbers = HashMap::new();
                let mut ends: Vec<usize> = Vec::new();
                let mut last = None;
                let mut places = Vec::with_capacity(rows);
                for market in markets {
                    let place = match last {
                        Some((known, place)) if known == market => place,
                        _ => *numbers.entry(market).or_insert_with(|| {
                            ends.push(0);
                            ends.len() - 1
                        }),
                    };
                    last = Some((market, place));
                    places.push(place);
                    if let Some(count) = ends.get_mut(place) {
                        *count += 1;
                    }
                }
                let mut sum = 0;
                for end in &mut ends {
                    (*end, sum) = (sum, sum + *end);
                }
                for (row, place) in places.into_iter().enumerate() {
                    let Some(next) = ends.get_mut(place) else { continue };
                    if let Some(place) = order.get_mut(*next) {
                        *place = row;
                    }
                    *next += 1;
                }
            }
        }
        order
    }

    fn is_same_name(&self, a: usize, b: usize) -> bool {
        match self.first {
            First::None => true,
            First::Market(markets) => markets.get(a) == markets.get(b),
            First::Text(texts) => texts.value(a) == texts.value(b),
        }
    }

    fn name<'n>(&'n self, row: usize, names: &'n Names) -> Option<&'n str> {
        match self.first {
            First::None => Some(""),
            First::Market(markets) => names.get(markets.get(row)?).map(|name| &**name),
            First::Text(texts) => Some(texts.value(row)),
        }
    }

    fn day(&self, row: usize) -> i64 {
        day_of(self.times.at(row))
    }

    #[inline]
    fn key(&self, row: usize) -> Key {
        let mut key = Key::default();
        for (key, numbers) in key.iter_mut().zip(&self.then) {
            *key = numbers.at(row);
        }
        key
    }
}

impl<'b> First<'b> {
    fn of(column: &'b ArrayRef) -> Option<Self> {
        match column.as_primitive_opt::<UInt64Type>() {
            Some(markets) => Some(Self::Market(markets.values())),
            None => column.as_string_opt().map(Self::Text),
        }
    }
}

impl<'b> Numbers<'b> {
    fn of(column: &'b ArrayRef) -> Option<Self> {
        if let Some(numbers) = column.as_primitive_opt::<UInt64Type>() {
            return Some(Self::Own(numbers.values()));
        }
        let numbers = column.as_primitive_opt::<Int64Type>()?;
        Some(if numbers.null_count() == 0 {
            Self::All(numbers.values())
        } else {
            Self::Some(numbers)
        })
    }

    #[inline]
    fn at(&self, row: usize) -> i64 {
        let found = match self {
            Self::All(numbers) => numbers.get(row).copied(),
            Self::Some(numbers) => numbers.is_valid(row).then(|| numbers.value(row)),
            Self::Own(numbers) => numbers.get(row).map(|number| number.cast_signed()),
        };
        found.unwrap_or(i64::MIN)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::UInt64Array;
    use fastrand::Rng;

    use super::*;
    use crate::lake::stored;

    /// Market, time, stream, number, and the place in which it came.
    type Row = (u64, i64, u64, i64, i64);

    fn batch(rows: &[Row]) -> RecordBatch {
        let whole = |value: fn(&Row) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(value)))
        };
        let own = |value: fn(&Row) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(value)))
        };
        RecordBatch::try_from_iter([
            ("ticker", own(|row| row.0)),
            ("at_ns", whole(|row| row.1)),
            ("stream", own(|row| row.2)),
            ("seq", whole(|row| row.3)),
            ("came", whole(|row| row.4)),
        ])
        .unwrap()
    }

    #[test]
    fn rows_of_any_batches_come_in_the_order_of_a_plain_sort() {
        let table = stored::table("quote").unwrap();
        // Two sessions have one market in common.
        let names = Names::from_iter(
            (0..6).map(|n| (n, format!("K{}", [3, 1, 4, 1, 5, 0][usize::try_from(n).unwrap()]))),
        );
        for seed in 0..2_000 {
            let mut random = Rng::with_seed(seed);
            let (mut now, mut came) = (0, 0);
            let mut batches = Vec::new();
            for place in 0..random.u64(1..5) {
                if random.u8(..3) == 0 {
                    now = 0;
                }
                let rows: Vec<Row> = (0..random.usize(1..9))
                    .map(|_| {
                        came += 1;
                        now += random.i64(-1..3) * DAY_NS / 3;
                        (random.u64(..3) + place % 2 * 3, now, random.u64(..2), 7, came)
                    })
                    .collect();
                batches.push(rows);
            }
            let mut expected: Vec<Row> = batches.iter().flatten().copied().collect();
            let key = |row: &Row| (day_of(row.1), names[&row.0].clone(), row.1, row.2, row.3);
            expected.sort_by_key(key);

            let sorted = batches.iter().map(|rows| sorted(table, batch(rows)).unwrap());
            let sorted: Vec<Sorted> = sorted.collect();
            let groups = groups(table, &sorted, &names, true).unwrap();
            let days: Vec<_> = groups.iter().map(|group| group.day_ns.unwrap()).collect();
            assert!(days.is_sorted_by(|a, b| a < b), "seed {seed}");
            let mut found: Vec<i64> = Vec::new();
            for (place, rows) in groups.iter().flat_map(|group| &group.rows) {
                let came = sorted[*place].batch.column_by_name("came").unwrap();
                found.extend(&came.as_primitive::<Int64Type>().values()[rows.clone()]);
            }
            let expected: Vec<i64> = expected.iter().map(|row| row.4).collect();
            assert_eq!(found, expected, "seed {seed}");
        }
    }
}
