//! Columns that grow by a value and end as Arrow arrays.

use std::sync::Arc;

use duckdb::arrow::{
    array::{
        ArrayRef, BooleanBuilder, Decimal32Builder, Decimal64Builder, Int64Array, Int64Builder,
        StringBuilder, UInt8Array, UInt64Array,
    },
    datatypes::DataType,
};

use super::ids::Number;
use crate::protocol::{Price, Side, Size};

/// A column of a table.
pub(super) trait Column: Default {
    /// Its type in DuckDB.
    const SQL: &'static str;
    /// Its type in Arrow.
    fn data_type() -> DataType;
    /// Its values as an array; the column is then empty.
    fn take(&mut self) -> ArrayRef;
}

/// Nanoseconds since the epoch; always there.
#[derive(Default)]
pub(super) struct Ns(pub(super) Vec<i64>);

impl Ns {
    pub(super) fn push(&mut self, value: i64) {
        self.0.push(value);
    }
}

impl Column for Ns {
    const SQL: &'static str = "BIGINT NOT NULL";

    fn data_type() -> DataType {
        DataType::Int64
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(Int64Array::from(std::mem::take(&mut self.0)))
    }
}

/// The number of a market, stream, span or hole.
#[derive(Default)]
pub(super) struct Id(Vec<u64>);

impl Id {
    pub(super) fn push(&mut self, value: Number) {
        self.0.push(value);
    }
}

impl Column for Id {
    const SQL: &'static str = "UBIGINT NOT NULL";

    fn data_type() -> DataType {
        DataType::UInt64
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(UInt64Array::from(std::mem::take(&mut self.0)))
    }
}

/// A small enumeration by number: 0 none, 1 yes, 2 no for sides; 0 snapshot, 1 delta for kinds.
#[derive(Default)]
pub(super) struct Code(Vec<u8>);

impl Code {
    pub(super) fn push(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn push_side(&mut self, side: Option<Side>) {
        self.0.push(match side {
            None => 0,
            Some(Side::Yes) => 1,
            Some(Side::No) => 2,
        });
    }
}

impl Column for Code {
    const SQL: &'static str = "UTINYINT NOT NULL";

    fn data_type() -> DataType {
        DataType::UInt8
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(UInt8Array::from(std::mem::take(&mut self.0)))
    }
}

macro_rules! nullable {
    ($(#[$doc:meta])* $name:ident, $builder:ty, $value:ty, $sql:literal, $type:expr, $make:expr, $convert:expr) => {
        $(#[$doc])*
        pub(super) struct $name($builder);

        impl Default for $name {
            fn default() -> Self {
                Self($make)
            }
        }

        impl $name {
            pub(super) fn push(&mut self, value: Option<$value>) {
                self.0.append_option(value.map($convert));
            }
        }

        impl Column for $name {
            const SQL: &'static str = $sql;

            fn data_type() -> DataType {
                $type
            }

            fn take(&mut self) -> ArrayRef {
                Arc::new(self.0.finish())
            }
        }
    };
}

nullable!(
    /// A whole number that may be absent.
    Whole, Int64Builder, i64, "BIGINT", DataType::Int64, Int64Builder::default(), |v| v
);
nullable!(
    /// A price that may be absent.
    Dollars, Decimal32Builder, Price, "DECIMAL(6,4)", DataType::Decimal32(6, 4),
    Decimal32Builder::default().with_data_type(DataType::Decimal32(6, 4)),
    |price: Price| i32::from(price.units())
);
nullable!(
    /// A number of contracts that may be absent.
    Contracts, Decimal64Builder, Size, "DECIMAL(18,2)", DataType::Decimal64(18, 2),
    Decimal64Builder::default().with_data_type(DataType::Decimal64(18, 2)), Size::units
);
nullable!(
    /// Yes or no or unknown.
    Flag, BooleanBuilder, bool, "BOOLEAN", DataType::Boolean, BooleanBuilder::default(), |v| v
);

/// A text that may be absent.
#[derive(Default)]
pub(super) struct Text(StringBuilder);

impl Text {
    pub(super) fn push(&mut self, value: Option<&str>) {
        self.0.append_option(value);
    }
}

impl Column for Text {
    const SQL: &'static str = "VARCHAR";

    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}
