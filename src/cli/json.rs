//! Rows of a query as JSON.

use kalshi_orderbook::analysis::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::DataType,
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::Value;

const OPTIONS: FormatOptions<'_> = FormatOptions::new();

/// Each row as an object with the columns in their order. Whole numbers, floats and truth values
/// are JSON's own, structs and maps are objects, lists are arrays. All else, as exact decimals and
/// times, is text.
pub(crate) fn objects(batches: &[RecordBatch]) -> Result<Vec<String>, ArrowError> {
    let mut objects = Vec::new();
    for batch in batches {
        let columns =
            fields(batch.schema_ref().fields().iter().map(|f| f.name().as_str()), batch.columns())?;
        for row in 0..batch.num_rows() {
            let mut text = String::new();
            object(&mut text, &columns, row)?;
            objects.push(text);
        }
    }
    Ok(objects)
}

/// Values, and how those that are not nested are written.
struct Column<'a> {
    values: &'a dyn Array,
    texts: ArrayFormatter<'a>,
}

impl<'a> Column<'a> {
    fn of(values: &'a dyn Array) -> Result<Self, ArrowError> {
        Ok(Self { values, texts: ArrayFormatter::try_new(values, &OPTIONS)? })
    }

    fn write(&self, out: &mut String, row: usize) -> Result<(), ArrowError> {
        let values = self.values;
        if values.is_null(row) {
            out.push_str("null");
            Ok(())
        } else if let Some(values) = values.as_struct_opt() {
            let names = values.fields().iter().map(|field| field.name().as_str());
            let fields = fields(names, values.columns())?;
            // As `row(1, 2)` makes them.
            if fields.iter().all(|(name, _)| name.is_empty()) {
                return braced(out, ['[', ']'], fields, |out, (_, column)| column.write(out, row));
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
            let [keys, values] = [0, 1].map(|place| Column::of(entries.column(place)));
            let (keys, values) = (keys?, values?);
            braced(out, ['{', '}'], 0..entries.len(), |out, entry| {
                name(out, &keys.texts.value(entry).to_string());
                values.write(out, entry)
            })
        } else {
            let text = self.texts.value(row).to_string();
            let kind = values.data_type();
            let whole = kind.is_integer() || matches!(kind, DataType::Decimal128(_, 0));
            let plain = whole || kind.is_floating() || *kind == DataType::Boolean;
            let value = text.parse().ok().filter(|_| plain);
            out.push_str(&value.unwrap_or(Value::String(text)).to_string());
            Ok(())
        }
    }
}

fn fields<'a>(
    names: impl Iterator<Item = &'a str>,
    columns: &'a [ArrayRef],
) -> Result<Vec<(String, Column<'a>)>, ArrowError> {
    names.zip(columns).map(|(name, values)| Ok((name.to_owned(), Column::of(values)?))).collect()
}

fn object(out: &mut String, fields: &[(String, Column<'_>)], row: usize) -> Result<(), ArrowError> {
    braced(out, ['{', '}'], fields, |out, (field, column)| {
        name(out, field);
        column.write(out, row)
    })
}

fn array(out: &mut String, values: &ArrayRef) -> Result<(), ArrowError> {
    let column = Column::of(values)?;
    braced(out, ['[', ']'], 0..values.len(), |out, place| column.write(out, place))
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
