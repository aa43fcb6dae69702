//! Rows in their order into one Parquet file.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, DictionaryArray, MutableArrayData, StringArray, UInt8Array,
        UInt32Array, make_array,
    },
    datatypes::{UInt8Type, UInt64Type},
    record_batch::RecordBatch,
};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{
            ArrowColumnChunk, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
        },
    },
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
    schema::types::ColumnPath,
};
use xxhash_rust::xxh3::Xxh3;

use super::{
    Error,
    column::Form,
    manifest::{Part, Stat},
    order::{Names, Slice, Sorted},
    ordered,
    stored::Stored,
    table::{self, Spec},
};

/// Rows in a row group: few enough that a question about one market reads little beside it.
pub(super) const ROW_GROUP_ROWS: usize = 61_440;
/// And in one of whole books, of which mostly one is wanted.
const BOOK_ROWS: usize = 8_192;
const BUFFER_BYTES: usize = 1 << 20;

/// Writes rows of batches, in this order, to a new file under a path within the lake.
pub(super) fn write(
    table: &Stored,
    batches: &[Sorted],
    rows: &[Slice],
    names: &Names,
    (lake, path): (&Path, String),
    threads: usize,
) -> Result<Part, Error> {
    let file = lake.join(&path);
    let folder = file.parent().unwrap_or(lake);
    fs::create_dir_all(folder).map_err(|e| Error::file("create folder", folder, e))?;
    let fail = |e| Error::file("write", &file, e);
    let sink = Hashed { inner: File::create_new(&file).map_err(fail)?, hash: Xxh3::new() };
    let sink = BufWriter::with_capacity(BUFFER_BYTES, sink);
    let sink = fill(table, batches, rows, names, sink, threads)
        .map_err(|source| Error::parquet("write", &file, source))?;
    let sink = sink.into_inner().map_err(|error| fail(error.into_error()))?;
    sink.inner.sync_data().map_err(fail)?;
    Ok(Part {
        table: table.name.to_owned(),
        xxh128: format!("{:032x}", sink.hash.digest128()),
        rows: rows.iter().map(|(_, rows)| rows.len() as u64).sum(),
        path,
        stat: Stat::of(&file).map_err(|e| Error::file("look at", &file, e))?,
        sessions: BTreeSet::new(),
    })
}

/// Encodes row groups with several threads and writes them in their order.
fn fill<W: Write + Send>(
    table: &Stored,
    batches: &[Sorted],
    rows: &[Slice],
    names: &Names,
    sink: W,
    threads: usize,
) -> Result<W, ParquetError> {
    let schema = table::stored(table.columns());
    // Arrow's own types, such as dictionaries and short decimals, are not every reader's.
    let options =
        ArrowWriterOptions::new().with_properties(properties(table)).with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(sink, schema, options)?;
    let (mut writer, factory) = writer.into_serialized_writer()?;
    let group_rows = if table.name == "checkpoint" { BOOK_ROWS } else { ROW_GROUP_ROWS };
    let groups = row_groups(rows, group_rows);
    let encode = |number: usize| {
        let rows = groups.get(number).map(Vec::as_slice).unwrap_or_default();
        encode(table.columns(), batches, rows, names, (&factory, number))
    };
    ordered::each(groups.len(), threads, encode, |chunks| {
        let mut group = writer.next_row_group()?;
        for chunk in chunks? {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close().map(drop)
    })?;
    writer.into_inner()
}

/// Cuts rows into groups of so many.
fn row_groups(rows: &[Slice], size: usize) -> Vec<Vec<Slice>> {
    let mut groups: Vec<Vec<Slice>> = Vec::new();
    let mut room = 0;
    for (batch, rows) in rows {
        let mut start = rows.start;
        while start < rows.end {
            if room == 0 {
                groups.push(Vec::new());
                room = size;
            }
            let end = rows.end.min(start + room);
            if let Some(group) = groups.last_mut() {
                group.push((*batch, start..end));
            }
            room -= end - start;
            start = end;
        }
    }
    groups
}

fn encode(
    columns: &[Spec],
    batches: &[Sorted],
    rows: &[Slice],
    names: &Names,
    (factory, number): (&ArrowRowGroupWriterFactory, usize),
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let writers = factory.create_column_writers(number)?;
    let mut used: Vec<usize> = rows.iter().map(|(batch, _)| *batch).collect();
    used.sort_unstable();
    used.dedup();
    let sources: Vec<&RecordBatch> =
        used.iter().filter_map(|place| batches.get(*place)).map(|sorted| &sorted.batch).collect();
    let rows: Vec<Slice> = rows
        .iter()
        .filter_map(|(batch, rows)| Some((used.binary_search(batch).ok()?, rows.clone())))
        .collect();
    let columns = columns.iter().enumerate().zip(writers);
    let encode = columns.map(|((number, column), mut writer)| {
        let values = sources.iter().filter_map(|batch| batch.columns().get(number));
        let values = named(column.form, gather(values, &rows), names);
        for leaf in compute_leaves(&column.stored(), &values)? {
            writer.write(&leaf)?;
        }
        writer.close()
    });
    encode.collect()
}

/// Rows of one column of several batches.
fn gather<'b>(values: impl Iterator<Item = &'b ArrayRef>, rows: &[Slice]) -> ArrayRef {
    let values: Vec<_> = values.map(Array::to_data).collect();
    let count = rows.iter().map(|(_, rows)| rows.len()).sum();
    let mut gathered = MutableArrayData::new(values.iter().collect(), false, count);
    for (place, rows) in rows {
        gathered.extend(*place, rows.start, rows.end);
    }
    make_array(gathered.freeze())
}

/// Puts names and words in the place of numbers.
fn named(form: Form, values: ArrayRef, names: &Names) -> ArrayRef {
    match form {
        Form::Plain | Form::Steps => values,
        Form::Market => {
            let Some(markets) = values.as_primitive_opt::<UInt64Type>() else { return values };
            let mut distinct: Vec<&str> = Vec::new();
            let (mut keys, mut last) = (Vec::with_capacity(markets.len()), None);
            let mut key = 0_u32;
            // Sorted by name, so that equal ones are neighbours.
            for market in markets.values() {
                if last != Some(market) {
                    let name = names.get(market).map_or("", |name| name);
                    if distinct.last() != Some(&name) {
                        key = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
                        distinct.push(name);
                    }
                    last = Some(market);
                }
                keys.push(key);
            }
            dictionary(UInt32Array::from(keys), distinct, values)
        }
        Form::Word(words) => {
            let Some(codes) = values.as_primitive_opt::<UInt8Type>() else { return values };
            let keys: UInt8Array = codes.values().iter().map(|code| code.checked_sub(1)).collect();
            dictionary(keys, words.to_vec(), values)
        }
    }
}

fn dictionary<K: arrow::datatypes::ArrowDictionaryKeyType>(
    keys: arrow::array::PrimitiveArray<K>,
    words: Vec<&str>,
    unnamed: ArrayRef,
) -> ArrayRef {
    // INVARIANT: each key is the place of a word.
    match DictionaryArray::try_new(keys, Arc::new(StringArray::from(words))) {
        Ok(named) => Arc::new(named),
        Err(_) => unnamed,
    }
}

fn properties(table: &Stored) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        // Pages of this version stay as they are where compression spares little: reading is faster.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_data_page_v2_compression_ratio_threshold(0.85)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("kalshi ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in table.columns().iter().filter(|column| column.form == Form::Steps) {
        let path = ColumnPath::from(column.name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// Digests what goes through.
struct Hashed<W> {
    inner: W,
    hash: Xxh3,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
