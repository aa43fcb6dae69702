//! Columns of stored rows, by name.

use arrow::{
    array::{Array, ArrowPrimitiveType, AsArray, DictionaryArray, PrimitiveArray, StringArray},
    datatypes::{Decimal32Type, Decimal64Type, Int64Type, UInt8Type, UInt64Type},
    record_batch::RecordBatch,
};

use super::Error;
use crate::protocol::Side;

/// A column of numbers.
pub(super) fn numbers<'b, T: ArrowPrimitiveType>(
    batch: &'b RecordBatch,
    name: &'static str,
) -> Result<&'b PrimitiveArray<T>, Error> {
    let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt());
    column.ok_or(Error::Column(name))
}

/// A column of times or whole numbers.
pub(super) fn whole<'b>(
    batch: &'b RecordBatch,
    name: &'static str,
) -> Result<&'b PrimitiveArray<Int64Type>, Error> {
    numbers(batch, name)
}

/// A column of the lake's own numbers, none of which is absent.
pub(super) fn ids<'b>(batch: &'b RecordBatch, name: &'static str) -> Result<&'b [u64], Error> {
    Ok(numbers::<UInt64Type>(batch, name)?.values())
}

/// A column of times, none of which is absent.
pub(super) fn times<'b>(batch: &'b RecordBatch, name: &'static str) -> Result<&'b [i64], Error> {
    Ok(whole(batch, name)?.values())
}

/// A column of prices, in ten-thousandths of a dollar.
pub(super) fn prices<'b>(
    batch: &'b RecordBatch,
    name: &'static str,
) -> Result<&'b PrimitiveArray<Decimal32Type>, Error> {
    numbers(batch, name)
}

/// A column of sizes, in hundredths of a contract.
pub(super) fn sizes<'b>(
    batch: &'b RecordBatch,
    name: &'static str,
) -> Result<&'b PrimitiveArray<Decimal64Type>, Error> {
    numbers(batch, name)
}

/// A column of texts.
pub(super) fn texts<'b>(
    batch: &'b RecordBatch,
    name: &'static str,
) -> Result<&'b StringArray, Error> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt());
    column.ok_or(Error::Column(name))
}

/// A column of sides.
pub(super) struct Sides<'b> {
    keys: &'b PrimitiveArray<UInt8Type>,
    words: Vec<Option<Side>>,
}

impl<'b> Sides<'b> {
    pub(super) fn of(batch: &'b RecordBatch, name: &'static str) -> Result<Self, Error> {
        let column = batch.column_by_name(name).and_then(|column| column.as_dictionary_opt());
        let column: &DictionaryArray<UInt8Type> = column.ok_or(Error::Column(name))?;
        let words = column.values().as_string_opt::<i32>().ok_or(Error::Column(name))?;
        let words = words.iter().map(|word| Side::parse(word?)).collect();
        Ok(Self { keys: column.keys(), words })
    }

    /// The side of each row.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<Side>> {
        let is_null = |row| self.keys.nulls().is_some_and(|nulls| nulls.is_null(row));
        let keys = self.keys.values().iter().enumerate();
        keys.map(move |(row, key)| {
            let word = self.words.get(usize::from(*key)).copied().flatten();
            word.filter(|_| !is_null(row))
        })
    }
}

/// A value that may be absent.
#[inline]
pub(super) fn get<T: ArrowPrimitiveType>(
    column: &PrimitiveArray<T>,
    row: usize,
) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

/// A text that may be absent.
pub(super) fn text(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}
