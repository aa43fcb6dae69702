//! A value of a query as text.

use kalshi_orderbook::analysis::arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, TimeUnit, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    },
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};

/// Values, and how they are written.
pub(crate) struct Cells<'a> {
    pub(crate) values: &'a dyn Array,
    texts: ArrayFormatter<'a>,
}

impl<'a> Cells<'a> {
    pub(crate) fn of(values: &'a dyn Array) -> Result<Self, ArrowError> {
        Ok(Self { values, texts: ArrayFormatter::try_new(values, options(values.data_type()))? })
    }

    /// A value, exact; none is an empty text, and what is nested is JSON.
    ///
    /// # Errors
    /// Where it cannot be written, such as a time outside the calendar.
    pub(crate) fn text(&self, row: usize) -> Result<String, ArrowError> {
        if self.values.is_null(row) {
            return Ok(String::new());
        }
        if self.values.data_type().is_nested() {
            let mut json = String::new();
            self.write_json(&mut json, row)?;
            return Ok(json);
        }
        self.plain(row)
    }

    /// A value that is there and holds no others.
    pub(crate) fn plain(&self, row: usize) -> Result<String, ArrowError> {
        if let DataType::Decimal128(_, 0) = self.values.data_type() {
            return Ok(self.values.as_primitive::<Decimal128Type>().value(row).to_string());
        }
        match infinite(self.values, row) {
            Some(text) => Ok(text.to_owned()),
            None => self.texts.value(row).try_to_string(),
        }
    }
}

/// Times have as many decimals as their type, so that those of a column are all of one form.
const fn options(kind: &DataType) -> &'static FormatOptions<'static> {
    const PLAIN: FormatOptions<'_> = FormatOptions::new();
    const MILLIS: FormatOptions<'_> = timed("%Y-%m-%dT%H:%M:%S%.3f", "%Y-%m-%dT%H:%M:%S%.3f%:z");
    const MICROS: FormatOptions<'_> = timed("%Y-%m-%dT%H:%M:%S%.6f", "%Y-%m-%dT%H:%M:%S%.6f%:z");
    const NANOS: FormatOptions<'_> = timed("%Y-%m-%dT%H:%M:%S%.9f", "%Y-%m-%dT%H:%M:%S%.9f%:z");
    let DataType::Timestamp(unit, _) = kind else { return &PLAIN };
    match unit {
        TimeUnit::Second => &PLAIN,
        TimeUnit::Millisecond => &MILLIS,
        TimeUnit::Microsecond => &MICROS,
        TimeUnit::Nanosecond => &NANOS,
    }
}

const fn timed(plain: &'static str, zoned: &'static str) -> FormatOptions<'static> {
    FormatOptions::new().with_timestamp_format(Some(plain)).with_timestamp_tz_format(Some(zoned))
}

/// A time before or after all others.
fn infinite(values: &dyn Array, row: usize) -> Option<&'static str> {
    let kind = values.data_type();
    let (time, last) = if let DataType::Timestamp(unit, _) = kind {
        let time = match unit {
            TimeUnit::Second => values.as_primitive::<TimestampSecondType>().value(row),
            TimeUnit::Millisecond => values.as_primitive::<TimestampMillisecondType>().value(row),
            TimeUnit::Microsecond => values.as_primitive::<TimestampMicrosecondType>().value(row),
            TimeUnit::Nanosecond => values.as_primitive::<TimestampNanosecondType>().value(row),
        };
        (time, i64::MAX)
    } else if *kind == DataType::Date32 {
        (values.as_primitive::<Date32Type>().value(row).into(), i32::MAX.into())
    } else {
        return None;
    };
    match time {
        time if time == last => Some("infinity"),
        time if time == -last => Some("-infinity"),
        _ => None,
    }
}
