//! How much rests on the best levels of each side, while a book changes.

use super::{Book, Error};
use crate::protocol::{Price, Side, Size};

/// The contracts on the best levels of a book, kept up while it changes: a change costs the same
/// wherever it is, for which every possible price has its place. A [`Book`] is a hundredth of this
/// size.
#[derive(Debug, Clone)]
pub struct TopLevels {
    yes: Bids,
    no: Bids,
}

/// Prices that there are.
const PRICES: usize = Price::DOLLAR.units() as usize + 1;

/// Resting bids of a side.
#[derive(Debug, Clone)]
struct Bids {
    /// Hundredths of a contract, by price.
    sizes: Vec<i64>,
    /// Prices at which something rests.
    levels: Levels,
    /// How many more levels would count.
    wanted: usize,
    /// The lowest level that counts, once as many do as shall.
    edge: usize,
    /// What rests on those that count.
    top: i64,
}

impl TopLevels {
    /// The best `count` levels of each side of a book.
    #[must_use]
    pub fn of(book: &Book, count: usize) -> Self {
        let side = |side| {
            let mut bids = Bids::new(count);
            for (price, size) in book.levels(side) {
                // INVARIANT: the levels of a book are above zero and each is there once.
                drop(bids.apply(side, price, size));
            }
            bids
        };
        Self { yes: side(Side::Yes), no: side(Side::No) }
    }

    /// Adds `change` to a level. Says whether the best levels have changed.
    ///
    /// # Errors
    /// As [`Book::apply`]; nothing is changed then.
    #[inline]
    pub fn apply(&mut self, side: Side, price: Price, change: Size) -> Result<bool, Error> {
        let bids = match side {
            Side::Yes => &mut self.yes,
            Side::No => &mut self.no,
        };
        bids.apply(side, price, change)
    }

    /// Contracts resting on the best levels of a side.
    #[must_use]
    pub const fn contracts(&self, side: Side) -> Size {
        match side {
            Side::Yes => Size::from_units(self.yes.top),
            Side::No => Size::from_units(self.no.top),
        }
    }
}

impl Bids {
    fn new(count: usize) -> Self {
        let edge = if count == 0 { PRICES } else { 0 };
        Self { sizes: vec![0; PRICES], levels: Levels::default(), wanted: count, edge, top: 0 }
    }

    #[inline]
    fn apply(&mut self, side: Side, price: Price, change: Size) -> Result<bool, Error> {
        let place = usize::from(price.units());
        // INVARIANT: there is a place for each price.
        let Some(size) = self.sizes.get_mut(place) else { return Ok(false) };
        let before = *size;
        let after = before.checked_add(change.units()).ok_or(Error::Overflow { side, price })?;
        if after < 0 {
            return Err(Error::NegativeLevel { side, price, size: Size::from_units(after) });
        }
        *size = after;
        let is_new = before == 0 && after > 0;
        let is_gone = before > 0 && after == 0;
        if is_new || is_gone {
            self.levels.turn(place);
        }
        if place < self.edge {
            return Ok(false);
        }
        self.top = self.top.wrapping_add(change.units());
        if is_new {
            self.push_out();
        } else if is_gone {
            self.draw_in();
        }
        Ok(true)
    }

    /// One level more counts: where that is one too many, the lowest does not any more.
    fn push_out(&mut self) {
        if self.wanted > 0 {
            self.wanted -= 1;
            if self.wanted == 0 {
                self.edge = self.levels.first_from(0).unwrap_or_default();
            }
            return;
        }
        self.top = self.top.wrapping_sub(self.size(self.edge));
        self.edge = self.levels.first_from(self.edge + 1).unwrap_or(PRICES);
    }

    /// One level less counts: the best of those that did not takes its place.
    fn draw_in(&mut self) {
        match self.levels.last_below(self.edge) {
            Some(next) => {
                self.top = self.top.wrapping_add(self.size(next));
                self.edge = next;
            }
            None => {
                self.wanted += 1;
                self.edge = 0;
            }
        }
    }

    fn size(&self, place: usize) -> i64 {
        self.sizes.get(place).copied().unwrap_or_default()
    }
}

/// A set of prices, in which the next one is found without a search.
#[derive(Debug, Clone)]
struct Levels {
    /// A bit for each price.
    words: [u128; WORDS],
    /// A bit for each word that has any.
    used: u128,
}

const WORDS: usize = PRICES.div_ceil(u128::BITS as usize);
const _: () = assert!(WORDS <= u128::BITS as usize);

impl Default for Levels {
    fn default() -> Self {
        Self { words: [0; WORDS], used: 0 }
    }
}

impl Levels {
    /// Puts a price in, or takes it out.
    #[inline]
    fn turn(&mut self, place: usize) {
        let Some(word) = self.words.get_mut(place / 128) else { return };
        *word ^= 1 << (place % 128);
        let bit = 1 << (place / 128);
        self.used = if *word == 0 { self.used & !bit } else { self.used | bit };
    }

    /// The lowest price that is no lower than this one.
    fn first_from(&self, place: usize) -> Option<usize> {
        let (number, bit) = (place / 128, place % 128);
        let here = self.words.get(number)? & (u128::MAX << bit);
        if here != 0 {
            return Some(number * 128 + here.trailing_zeros() as usize);
        }
        let above = self.used & u128::MAX.checked_shl(number as u32 + 1).unwrap_or_default();
        let number = above.trailing_zeros() as usize;
        Some(number * 128 + self.words.get(number)?.trailing_zeros() as usize)
    }

    /// The highest price that is lower than this one.
    fn last_below(&self, place: usize) -> Option<usize> {
        let (number, bit) = (place / 128, place % 128);
        let here = self.words.get(number)? & !(u128::MAX << bit);
        if here != 0 {
            return Some(number * 128 + here.ilog2() as usize);
        }
        let number = (self.used & !(u128::MAX << number)).checked_ilog2()? as usize;
        Some(number * 128 + self.words.get(number)?.checked_ilog2()? as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_levels_are_those_of_the_book() {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let count = random.usize(0..6);
            let mut book = Book::new();
            let mut top = TopLevels::of(&book, count);
            for step in 0..2_000 {
                let side = if random.bool() { Side::Yes } else { Side::No };
                let price = match random.u32(..3) {
                    0 => random.i64(0..=10_000),
                    _ => 100 * random.i64(0..=20),
                };
                let price = Price::from_units(price).unwrap();
                let change = Size::from_units(random.i64(-500..500));
                let before = [Side::Yes, Side::No].map(|side| book.top(side, count));
                let (of_book, of_top) =
                    (book.apply(side, price, change), top.apply(side, price, change));
                assert_eq!(of_top.map(drop), of_book, "seed {seed} step {step}");
                let after = [Side::Yes, Side::No].map(|side| book.top(side, count));
                assert_eq!([Side::Yes, Side::No].map(|side| top.contracts(side)), after);
                assert!(before == after || of_top == Ok(true), "seed {seed} step {step}");
                if step % 500 == 0 {
                    top = TopLevels::of(&book, count);
                }
            }
        }
    }
}
