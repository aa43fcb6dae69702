//! A contract's price.

use std::{fmt, str::FromStr};

use super::fixed::{self, FixedError};

/// A price in ten-thousandths of a dollar, from 0 (`0.0000`) to 10,000 (`1.0000`).
///
/// Exact for every price grid of the exchange: the finest step is `0.0001`. Resting orders lie
/// strictly between the ends; the ends occur as "no bid" and "no ask" in ticker messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(u16);

impl Price {
    /// One dollar, what a contract pays.
    pub const DOLLAR: Self = Self(10_000);

    /// Makes a price from ten-thousandths of a dollar.
    ///
    /// # Errors
    /// [`FixedError::OutOfRange`] above one dollar or below zero.
    pub fn from_units(units: i64) -> Result<Self, FixedError> {
        match u16::try_from(units) {
            Ok(units) if units <= Self::DOLLAR.0 => Ok(Self(units)),
            _ => Err(FixedError::OutOfRange),
        }
    }

    /// Makes a price from whole cents, as generations A and B print it.
    ///
    /// # Errors
    /// [`FixedError::OutOfRange`] above one dollar or below zero.
    pub fn from_cents(cents: i64) -> Result<Self, FixedError> {
        Self::from_units(cents.checked_mul(100).ok_or(FixedError::OutOfRange)?)
    }

    /// Ten-thousandths of a dollar.
    #[must_use]
    pub const fn units(self) -> u16 {
        self.0
    }

    /// The same price seen from the other side: a NO bid at `q` offers YES at `1 - q`.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(Self::DOLLAR.0 - self.0)
    }
}

impl FromStr for Price {
    type Err = FixedError;

    fn from_str(text: &str) -> Result<Self, FixedError> {
        Self::from_units(fixed::parse(text, 4)?)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed::write(f, i64::from(self.0), 4)
    }
}

/// Which of a market's two bid ladders, or which outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Pays when the answer is yes.
    Yes,
    /// Pays when the answer is no.
    No,
}

impl Side {
    /// The exchange's word for it: `yes` or `no`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }

    /// Reads the exchange's word; anything but `yes` and `no` is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "yes" => Some(Self::Yes),
            "no" => Some(Self::No),
            _ => None,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_survives_text_and_its_complement_twice() {
        for units in 0..=10_000 {
            let price = Price::from_units(units).unwrap();
            assert_eq!(price.to_string().parse(), Ok(price));
            assert_eq!(price.complement().complement(), price);
        }
    }

    #[test]
    fn only_zero_to_one_dollar_is_a_price() {
        assert_eq!("1.0000".parse(), Ok(Price::DOLLAR));
        assert_eq!("1.0001".parse::<Price>(), Err(FixedError::OutOfRange));
        assert_eq!("-0.0100".parse::<Price>(), Err(FixedError::OutOfRange));
        assert_eq!("0.00005".parse::<Price>(), Err(FixedError::TooFine));
        assert_eq!(Price::from_cents(14).unwrap().to_string(), "0.1400");
        assert!(Price::from_cents(i64::MAX).is_err());
    }
}
