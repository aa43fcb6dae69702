//! Rows of a query as JSON.

use std::collections::HashSet;

use kalshi_orderbook::analysis::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UnionArray},
    datatypes::DataType,
    error::ArrowError,
};
use serde_json::{Value, value::RawValue};

use super::cell::Cells;

/// Each row as an object with the columns in their order; of one name, the second is `name_1`. Whole
/// numbers, floats and truth values are JSON's own, structs and maps are objects, lists are arrays.
/// All else, as exact decimals and times, is text.
pub(crate) fn objects(batches: &[RecordBatch]) -> Result<Vec<String>, ArrowError> {
    let mut objects = Vec::new();
    for batch in batches {
        let names = batch.schema_ref().fields().iter().map(|field| field.name().as_str());
        let mut columns = fields(names, batch.columns())?;
        distinguish(&mut columns);
        for row in 0..batch.num_rows() {
            let mut text = String::new();
            object(&mut text, &columns, row)?;
            objects.push(text);
        }
    }
    Ok(objects)
}

/// A column under its name.
type Column<'a> = (String, Cells<'a>);

impl Cells<'_> {
    /// A value as JSON.
    pub(super) fn write_json(&self, out: &mut String, row: usize) -> Result<(), ArrowError> {
        let values = self.values;
        if values.is_null(row) {
            out.push_str("null");
            Ok(())
        } else if let Some(values) = values.as_struct_opt() {
            let names = values.fields().iter().map(|field| field.name().as_str());
            let fields = fields(names, values.columns())?;
            // As `row(1, 2)` makes them.
            if fields.iter().all(|(name, _)| name.is_empty()) {
                return braced(out, ['[', ']'], fields, |out, (_, column)| {
                    column.write_json(out, row)
                });
            }
            object(out, &fields, row)
        } else if let Some(lists) = values.as_list_opt::<i32>() {
            array(out, &lists.value(row))
        } else if let Some(lists) = values.as_list_opt::<i64>() {
            array(out, &lists.value(row))
        } else if let Some(lists) = values.as_fixed_size_list_opt() {
            array(out, &lists.value(row))
        } else if let Some(maps) = values.as_map_opt() {
            let entries = maps.value(row);
            let [keys, values] = [0, 1].map(|place| Cells::of(entries.column(place)));
            let (keys, values) = (keys?, values?);
            braced(out, ['{', '}'], 0..entries.len(), |out, entry| {
                name(out, &keys.text(entry)?);
                values.write_json(out, entry)
            })
        } else if let Some(union) = values.as_any().downcast_ref::<UnionArray>() {
            Cells::of(&union.value(row))?.write_json(out, 0)
        } else {
            let text = self.plain(row)?;
            let kind = values.data_type();
            let whole = kind.is_integer() || matches!(kind, DataType::Decimal128(_, 0));
            let plain = whole || kind.is_floating() || *kind == DataType::Boolean;
            // As it stands there: a number that is parsed may come back as another.
            if plain && serde_json::from_str::<&RawValue>(&text).is_ok() {
                out.push_str(&text);
            } else {
                out.push_str(&Value::String(text).to_string());
            }
            Ok(())
        }
    }
}

fn fields<'a>(
    names: impl Iterator<Item = &'a str>,
    columns: &'a [ArrayRef],
) -> Result<Vec<Column<'a>>, ArrowError> {
    names.zip(columns).map(|(name, values)| Ok((name.to_owned(), Cells::of(values)?))).collect()
}

/// Gives each column a name of its own, as DuckDB does in files.
fn distinguish(columns: &mut [Column<'_>]) {
    let mut names: HashSet<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let mut seen = HashSet::new();
    for (name, _) in columns {
        let mut number = 1;
        while seen.contains(name) {
            let other = format!("{name}_{number}");
            if names.insert(other.clone()) {
                *name = other;
            }
            number += 1;
        }
        seen.insert(name.clone());
    }
}

fn object(out: &mut String, fields: &[Column<'_>], row: usize) -> Result<(), ArrowError> {
    braced(out, ['{', '}'], fields, |out, (field, column)| {
        name(out, field);
        column.write_json(out, row)
    })
}

fn array(out: &mut String, values: &ArrayRef) -> Result<(), ArrowError> {
    let column = Cells::of(values)?;
    braced(out, ['[', ']'], 0..values.len(), |out, place| column.write_json(out, place))
}

fn name(out: &mut String, name: &str) {
    out.push_str(&Value::from(name).to_string());
    out.push(':');
}

/// Items with commas between, and braces around.
fn braced<Item>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = Item>,
    mut write: impl FnMut(&mut String, Item) -> Result<(), ArrowError>,
) -> Result<(), ArrowError> {
    out.push(open);
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(out, item)?;
    }
    out.push(close);
    Ok(())
}
