//! The levels of one side of a snapshot, in any of the three encodings.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::{FixedError, Price, Size};

/// One side of a snapshot: each resting price with its size, in the order sent.
pub type Ladder = Vec<(Price, Size)>;

/// A number that was printed as an integer in one generation and as text in another.
#[derive(Debug, Clone)]
pub(super) enum Number<'a> {
    Integer(i64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Number<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer or a text")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Number<'de>, E> {
        Ok(Number::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number<'de>, E> {
        i64::try_from(value).map(Number::Integer).map_err(E::custom)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Number<'de>, E> {
        Ok(Number::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Number<'de>, E> {
        Ok(Number::Text(Cow::Owned(value.to_owned())))
    }
}

impl Number<'_> {
    /// Integer cents or a dollar text.
    pub(super) fn price(&self) -> Result<Price, FixedError> {
        match self {
            Self::Integer(cents) => Price::from_cents(*cents),
            Self::Text(dollars) => dollars.parse(),
        }
    }

    /// Whole contracts or a decimal text.
    pub(super) fn size(&self) -> Result<Size, FixedError> {
        match self {
            Self::Integer(contracts) => Size::from_contracts(*contracts),
            Self::Text(contracts) => contracts.parse(),
        }
    }
}

pub(super) type Levels<'a> = Vec<(Number<'a>, Number<'a>)>;

/// Takes the first encoding present; an absent side is empty.
pub(super) fn first(encodings: [Option<Levels<'_>>; 3]) -> Result<Ladder, FixedError> {
    encodings
        .into_iter()
        .flatten()
        .next()
        .unwrap_or_default()
        .iter()
        .map(|(price, size)| Ok((price.price()?, size.size()?)))
        .collect()
}
