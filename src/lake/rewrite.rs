//! Stored rows once more: several files as one, or less some sessions.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, UInt8Array, UInt64Array},
    compute::filter_record_batch,
    datatypes::{UInt8Type, UInt32Type, UInt64Type},
    record_batch::RecordBatch,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    Error,
    column::Form,
    ids::{Number, session_of},
    manifest::{Part, Session},
    order::{self, Names, Sorted},
    read::typed,
    stored::Stored,
    table,
    write::{self, ROW_GROUP_ROWS},
};

/// Rows of sessions that are to be left out, by name.
pub(super) type Without<'s> = &'s HashMap<&'s str, &'s Session>;

/// Writes the rows of parts of one folder, in the order of which they were digested, as a new part.
pub(super) fn rewrite(
    table: &Stored,
    lake: &Path,
    parts: &[Part],
    without: Without<'_>,
    path: String,
    threads: usize,
) -> Result<Part, Error> {
    let mut gathered = Gathered::default();
    for part in parts {
        gathered.read(table, &lake.join(&part.path), without)?;
    }
    let names: Names = gathered.markets.into_iter().map(|(name, number)| (number, name)).collect();
    let groups = order::groups(table, &gathered.batches, &names, false)?;
    let rows = groups.into_iter().next().map(|group| group.rows).unwrap_or_default();
    write::write(table, &gathered.batches, &rows, &names, (lake, path), threads)
}

/// Rows as a digestion makes them.
#[derive(Default)]
struct Gathered {
    batches: Vec<Sorted>,
    markets: HashMap<String, Number>,
}

impl Gathered {
    fn read(&mut self, table: &Stored, file: &Path, without: Without<'_>) -> Result<(), Error> {
        let fail = |source| Error::parquet("read", file, source);
        let open = File::open(file).map_err(|e| Error::file("read", file, e))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(open, typed(table))
            .and_then(|reader| reader.with_batch_size(ROW_GROUP_ROWS).build())
            .map_err(fail)?;
        for batch in reader {
            let batch = self.numbered(table, &batch.map_err(|e| fail(e.into()))?)?;
            let batch = less(table, batch, without)?;
            if batch.num_rows() > 0 {
                self.batches.push(order::sorted(table, batch)?);
            }
        }
        Ok(())
    }

    /// Puts numbers in the place of names and words.
    fn numbered(&mut self, table: &Stored, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let columns = table.columns().iter().map(|spec| {
            let wrong = || Error::column(table, spec.name);
            let values = batch.column_by_name(spec.name).ok_or_else(wrong)?;
            match spec.form {
                Form::Plain | Form::Steps => Ok(Arc::clone(values)),
                Form::Market => self.markets(values).ok_or_else(wrong),
                Form::Word(words) => codes(values, words).ok_or_else(wrong),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(table::gathered(table.columns()), columns)
            .map_err(|source| Error::Batch { table: table.name, source })
    }

    fn markets(&mut self, values: &ArrayRef) -> Option<ArrayRef> {
        let values = values.as_dictionary_opt::<UInt32Type>()?;
        let mut numbers = Vec::new();
        for name in values.values().as_string_opt::<i32>()? {
            let name = name.unwrap_or_default();
            let next = self.markets.len() as Number;
            let known = self.markets.get(name).copied();
            numbers.push(known.unwrap_or_else(|| {
                self.markets.insert(name.to_owned(), next);
                next
            }));
        }
        let number = |key: Option<usize>| numbers.get(key?).copied();
        let markets = (0..values.len()).map(|row| number(values.key(row)));
        Some(Arc::new(UInt64Array::from(markets.collect::<Option<Vec<_>>>()?)))
    }
}

/// The places of words in a list, from 1; 0 for none.
fn codes(values: &ArrayRef, words: &[&str]) -> Option<ArrayRef> {
    let values = values.as_dictionary_opt::<UInt8Type>()?;
    let texts = values.values().as_string_opt::<i32>()?.iter();
    let place = |text: Option<&str>| words.iter().position(|word| Some(*word) == text);
    let codes: Vec<Option<u8>> = texts.map(|text| u8::try_from(place(text)? + 1).ok()).collect();
    let code = |row: usize| values.key(row).and_then(|key| codes.get(key).copied().flatten());
    let codes = (0..values.len()).map(|row| code(row).unwrap_or_default());
    Some(Arc::new(UInt8Array::from_iter_values(codes)))
}

/// Leaves the rows of some sessions out.
fn less(table: &Stored, batch: RecordBatch, without: Without<'_>) -> Result<RecordBatch, Error> {
    if without.is_empty() {
        return Ok(batch);
    }
    let name = table.numbers.first().copied().unwrap_or("session");
    let column = batch.column_by_name(name).ok_or_else(|| Error::column(table, name))?;
    let keep: BooleanArray = if let Some(numbers) = column.as_primitive_opt::<UInt64Type>() {
        let gone: HashSet<u32> = without.values().map(|session| session.number).collect();
        numbers.values().iter().map(|number| Some(!gone.contains(&session_of(*number)))).collect()
    } else if let Some(names) = column.as_string_opt::<i32>() {
        names.iter().map(|name| Some(!without.contains_key(name.unwrap_or_default()))).collect()
    } else {
        return Err(Error::column(table, name));
    };
    filter_record_batch(&batch, &keep).map_err(|source| Error::Batch { table: table.name, source })
}
