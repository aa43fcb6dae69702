//! One market's order book: two ladders of bids, exact and pure.
//!
//! The exchange publishes bids only. Both ladders are in their own side's dollars: a NO bid at `q`
//! is the offer to sell YES at `1 - q`. No I/O, no clock, no float.

#![deny(clippy::float_arithmetic)]

mod top;

use crate::protocol::{Price, Side, Size};

pub use top::TopLevels;

/// One resting price and what rests there.
pub type Level = (Price, Size);

/// A market's order book.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    yes: Vec<Level>,
    no: Vec<Level>,
}

/// A change that no right book can meet: something was missed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More is taken away than rests there.
    #[error("the {side} level at {price} would hold {size} contracts")]
    NegativeLevel {
        /// The ladder.
        side: Side,
        /// The level.
        price: Price,
        /// What it would hold.
        size: Size,
    },
    /// The size does not fit 64 bits.
    #[error("the {side} level at {price} would overflow")]
    Overflow {
        /// The ladder.
        side: Side,
        /// The level.
        price: Price,
    },
}

/// Levels near the best price that are looked through one by one.
const NEAR: usize = 8;

/// Where a price is in a ladder, or belongs. Best last: changes are mostly near the best price, so
/// little is looked through and little is moved.
#[inline]
fn place(ladder: &[Level], price: Price) -> Result<usize, usize> {
    let far = ladder.len().saturating_sub(NEAR);
    for (back, level) in ladder.iter().rev().take(NEAR).enumerate() {
        if level.0 <= price {
            let at = ladder.len() - 1 - back;
            return if level.0 == price { Ok(at) } else { Err(at + 1) };
        }
    }
    ladder.get(..far).unwrap_or_default().binary_search_by_key(&price, |level| level.0)
}

impl Book {
    /// An empty book.
    #[must_use]
    pub const fn new() -> Self {
        Self { yes: Vec::new(), no: Vec::new() }
    }

    /// Replaces the whole book by a snapshot, whose levels may come in any order.
    ///
    /// # Errors
    /// [`Error`] where a level is negative; the book is then empty.
    pub fn replace(&mut self, yes: &[Level], no: &[Level]) -> Result<(), Error> {
        self.yes.clear();
        self.no.clear();
        for (side, levels) in [(Side::Yes, yes), (Side::No, no)] {
            for &(price, size) in levels {
                if let Err(error) = self.apply(side, price, size) {
                    self.yes.clear();
                    self.no.clear();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Adds `change` to a level; a level that comes to zero is removed.
    ///
    /// # Errors
    /// [`Error`] where the level would be negative; the book is then as it was.
    pub fn apply(&mut self, side: Side, price: Price, change: Size) -> Result<(), Error> {
        let ladder = match side {
            Side::Yes => &mut self.yes,
            Side::No => &mut self.no,
        };
        match place(ladder, price) {
            Ok(at) => {
                let Some((_, size)) = ladder.get_mut(at) else { return Ok(()) };
                let after = size.checked_add(change).ok_or(Error::Overflow { side, price })?;
                if after < Size::ZERO {
                    return Err(Error::NegativeLevel { side, price, size: after });
                }
                if after == Size::ZERO {
                    ladder.remove(at);
                } else {
                    *size = after;
                }
            }
            Err(_) if change < Size::ZERO => {
                return Err(Error::NegativeLevel { side, price, size: change });
            }
            Err(_) if change == Size::ZERO => {}
            Err(at) => ladder.insert(at, (price, change)),
        }
        Ok(())
    }

    /// The highest bid of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Level> {
        self.ladder(side).last().copied()
    }

    /// A side's levels, best first.
    pub fn levels(&self, side: Side) -> impl ExactSizeIterator<Item = Level> + '_ {
        self.ladder(side).iter().rev().copied()
    }

    /// The number of levels of a side.
    #[must_use]
    pub fn depth(&self, side: Side) -> usize {
        self.ladder(side).len()
    }

    /// The best bid for YES.
    #[must_use]
    pub fn yes_bid(&self) -> Option<Level> {
        self.best(Side::Yes)
    }

    /// The best offer of YES: the best NO bid seen from the other side.
    #[must_use]
    pub fn yes_ask(&self) -> Option<Level> {
        self.best(Side::No).map(|(price, size)| (price.complement(), size))
    }

    /// YES ask less YES bid, in ten-thousandths of a dollar; negative while the book is crossed.
    #[must_use]
    pub fn spread_units(&self) -> Option<i32> {
        let (bid, ask) = (self.yes_bid()?.0, self.yes_ask()?.0);
        Some(i32::from(ask.units()) - i32::from(bid.units()))
    }

    /// Twice the middle between YES bid and ask, in ten-thousandths of a dollar: twice, because
    /// the middle itself may lie between two of them.
    #[must_use]
    pub fn double_mid_units(&self) -> Option<u32> {
        let (bid, ask) = (self.yes_bid()?.0, self.yes_ask()?.0);
        Some(u32::from(bid.units()) + u32::from(ask.units()))
    }

    /// Contracts resting on the best `levels` prices of a side.
    #[must_use]
    pub fn top(&self, side: Side, levels: usize) -> Size {
        self.levels(side).take(levels).map(|(_, size)| size).sum()
    }

    /// Whether nothing rests on either side.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.yes.is_empty() && self.no.is_empty()
    }

    const fn ladder(&self, side: Side) -> &Vec<Level> {
        match side {
            Side::Yes => &self.yes,
            Side::No => &self.no,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn level(price: &str, size: &str) -> Level {
        (price.parse().unwrap(), size.parse().unwrap())
    }

    /// The book as anybody would write it first.
    #[derive(Default)]
    struct Naive(BTreeMap<(Side, Price), i64>);

    impl Naive {
        fn apply(&mut self, side: Side, price: Price, change: i64) -> bool {
            let level = self.0.entry((side, price)).or_insert(0);
            let right = *level + change >= 0;
            if right {
                *level += change;
            }
            self.0.retain(|_, size| *size != 0);
            right
        }

        fn levels(&self, side: Side) -> Vec<Level> {
            let of_side = self.0.iter().filter(|((s, _), _)| *s == side);
            of_side.rev().map(|((_, price), size)| (*price, Size::from_units(*size))).collect()
        }
    }

    #[test]
    fn any_changes_give_what_a_plain_map_gives() {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut book, mut naive) = (Book::new(), Naive::default());
            for step in 0..2_000 {
                let side = if random.bool() { Side::Yes } else { Side::No };
                let price = Price::from_units(random.i64(1..40)).unwrap();
                let change = random.i64(-500..500);
                let before = book.clone();
                let right = book.apply(side, price, Size::from_units(change)).is_ok();
                assert_eq!(right, naive.apply(side, price, change), "seed {seed} step {step}");
                assert!(right || book == before, "seed {seed} step {step}: changed by an error");
                for side in [Side::Yes, Side::No] {
                    let levels: Vec<_> = book.levels(side).collect();
                    assert_eq!(levels, naive.levels(side), "seed {seed} step {step}");
                }
            }
        }
    }

    #[test]
    fn a_snapshot_replaces_everything_and_may_be_in_any_order() {
        let mut book = Book::new();
        book.apply(Side::Yes, "0.9900".parse().unwrap(), Size::from_units(1)).unwrap();
        let yes = [level("0.4700", "3.00"), level("0.0100", "9.00"), level("0.2000", "0.00")];
        book.replace(&yes, &[level("0.4800", "2.00")]).unwrap();
        assert_eq!(book.best(Side::Yes), Some(level("0.4700", "3.00")));
        assert_eq!(book.yes_ask(), Some(level("0.5200", "2.00")));
        assert_eq!((book.spread_units(), book.double_mid_units()), (Some(500), Some(9_900)));
        assert_eq!((book.depth(Side::Yes), book.depth(Side::No)), (2, 1));
        assert_eq!(book.top(Side::Yes, 5).to_string(), "12.00");
        book.replace(&[], &[]).unwrap();
        assert!(book.is_empty());
        assert_eq!((book.spread_units(), book.yes_ask()), (None, None));
    }

    #[test]
    fn a_negative_level_is_an_error_that_says_so() {
        let mut book = Book::new();
        let price: Price = "0.4700".parse().unwrap();
        let error = book.apply(Side::No, price, "-1.00".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "the no level at 0.4700 would hold -1.00 contracts");
        assert!(book.replace(&[(price, Size::from_units(-1))], &[]).is_err());
        book.apply(Side::No, price, Size::from_units(i64::MAX)).unwrap();
        assert!(matches!(
            book.apply(Side::No, price, Size::from_units(1)),
            Err(Error::Overflow { .. })
        ));
    }
}
