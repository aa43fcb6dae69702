//! A number of contracts.

use std::{
    fmt,
    ops::{Add, AddAssign},
    str::FromStr,
};

use super::fixed::{self, FixedError};

/// A signed number of contracts in hundredths: `300.00` is 30,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(i64);

impl Size {
    /// No contracts.
    pub const ZERO: Self = Self(0);

    /// Makes a size from hundredths of a contract.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// Makes a size from whole contracts, as generations A and B print it.
    ///
    /// # Errors
    /// [`FixedError::OutOfRange`] when the hundredths overflow 64 bits.
    pub fn from_contracts(contracts: i64) -> Result<Self, FixedError> {
        contracts.checked_mul(100).map(Self).ok_or(FixedError::OutOfRange)
    }

    /// Hundredths of a contract.
    #[must_use]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// The sum, or `None` where it overflows.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::ZERO, Add::add)
    }
}

impl FromStr for Size {
    type Err = FixedError;

    fn from_str(text: &str) -> Result<Self, FixedError> {
        fixed::parse(text, 2).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed::write(f, self.0, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_survive_text() {
        for text in ["0.00", "3.00", "-54.00", "90121.34", "-0.01", "92233720368547758.07"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!(Size::from_contracts(-7).unwrap().to_string(), "-7.00");
        assert_eq!("0.001".parse::<Size>(), Err(FixedError::TooFine));
    }
}
