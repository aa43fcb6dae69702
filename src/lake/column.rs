//! Columns that grow by a value and end as Arrow arrays; and how each kind of them is stored.

use std::sync::Arc;

use arrow::{
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
    /// How its values are written.
    const FORM: Form;
    /// Whether a value may be absent.
    const NULLABLE: bool;
    /// Its type as it is gathered.
    fn data_type() -> DataType;
    /// Its values as an array; the column is then empty.
    fn take(&mut self) -> ArrayRef;
}

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are, those that repeat once each.
    Plain,
    /// As what each is more than the one before.
    Steps,
    /// The name of a market in place of its number.
    Market,
    /// A word in place of its place in the list, from 1; 0 is none.
    Word(&'static [&'static str]),
}

/// Sides, as the codes of [`Sided`] have them.
pub(super) const SIDES: &[&str] = &["yes", "no"];
/// Kinds of book events, as the codes of [`Kind`] have them.
pub(super) const KINDS: &[&str] = &["snapshot", "delta"];

/// A column whose values are always there.
macro_rules! filled {
    ($(#[$doc:meta])* $name:ident, $value:ty, $type:expr, $array:ty, $form:expr) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $name(pub(super) Vec<$value>);

        impl $name {
            pub(super) fn push(&mut self, value: $value) {
                self.0.push(value);
            }
        }

        impl Column for $name {
            const FORM: Form = $form;
            const NULLABLE: bool = false;

            fn data_type() -> DataType {
                $type
            }

            fn take(&mut self) -> ArrayRef {
                Arc::new(<$array>::from(std::mem::take(&mut self.0)))
            }
        }
    };
}

filled!(
    /// Nanoseconds, since the epoch or in length.
    Ns, i64, DataType::Int64, Int64Array, Form::Steps
);
filled!(
    /// The number of a stream, span or hole.
    Id, Number, DataType::UInt64, UInt64Array, Form::Plain
);
filled!(
    /// The number of a market.
    Market, Number, DataType::UInt64, UInt64Array, Form::Market
);
filled!(
    /// 0 none, 1 yes, 2 no.
    Sided, u8, DataType::UInt8, UInt8Array, Form::Word(SIDES)
);
filled!(
    /// 1 snapshot, 2 delta.
    Kind, u8, DataType::UInt8, UInt8Array, Form::Word(KINDS)
);

impl Sided {
    pub(super) fn push_side(&mut self, side: Option<Side>) {
        self.push(match side {
            None => 0,
            Some(Side::Yes) => 1,
            Some(Side::No) => 2,
        });
    }
}

macro_rules! nullable {
    ($(#[$doc:meta])* $name:ident, $builder:ty, $value:ty, $type:expr, $form:expr, $make:expr, $convert:expr) => {
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
            const FORM: Form = $form;
            const NULLABLE: bool = true;

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
    /// A whole number.
    Whole, Int64Builder, i64, DataType::Int64, Form::Plain, Int64Builder::default(), |v| v
);
nullable!(
    /// A whole number that is near the one of the row before.
    Rising, Int64Builder, i64, DataType::Int64, Form::Steps, Int64Builder::default(), |v| v
);
nullable!(
    /// A price.
    Dollars, Decimal32Builder, Price, DataType::Decimal32(6, 4), Form::Plain,
    Decimal32Builder::default().with_data_type(DataType::Decimal32(6, 4)),
    |price: Price| i32::from(price.units())
);
nullable!(
    /// A number of contracts.
    Contracts, Decimal64Builder, Size, DataType::Decimal64(18, 2), Form::Plain,
    Decimal64Builder::default().with_data_type(DataType::Decimal64(18, 2)), Size::units
);
nullable!(
    /// Yes or no or unknown.
    Flag, BooleanBuilder, bool, DataType::Boolean, Form::Plain, BooleanBuilder::default(), |v| v
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
    const FORM: Form = Form::Plain;
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}
