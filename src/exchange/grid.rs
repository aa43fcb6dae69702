//! Which prices a market accepts.

use crate::protocol::Price;

/// A market's price grid, by the exchange's own label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grid {
    /// Whole cents.
    Cent,
    /// Tenths of a cent.
    Deci,
    /// Tenths of a cent below ten and above ninety cents, whole cents between.
    Tapered,
    /// Hundredths of a cent below one and above ninety-nine cents, tenths between.
    CentiEdge,
}

/// Prices `start + n * step` up to `end`, in ten-thousandths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Band {
    /// The first price.
    pub(super) start: u16,
    /// The last price, which is the next band's first.
    pub(super) end: u16,
    /// The distance between two prices.
    pub(super) step: u16,
}

impl Grid {
    /// The label in `price_level_structure`.
    #[must_use]
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Cent => "linear_cent",
            Self::Deci => "deci_cent",
            Self::Tapered => "tapered_deci_cent",
            Self::CentiEdge => "center_deci_edge_centi_cent",
        }
    }

    /// The bands in `price_ranges`, from zero to a dollar without a break.
    #[must_use]
    pub(super) const fn bands(self) -> &'static [Band] {
        match self {
            Self::Cent => const { &[band(0, 10_000, 100)] },
            Self::Deci => const { &[band(0, 10_000, 10)] },
            Self::Tapered => {
                const { &[band(0, 1_000, 10), band(1_000, 9_000, 100), band(9_000, 10_000, 10)] }
            }
            Self::CentiEdge => {
                const { &[band(0, 100, 1), band(100, 9_900, 10), band(9_900, 10_000, 1)] }
            }
        }
    }

    /// The number of steps from zero to a dollar; orders rest on ticks `1..steps`.
    #[must_use]
    pub(super) fn steps(self) -> i64 {
        self.bands().iter().map(|band| steps(*band)).sum()
    }

    /// The price of a tick, counted from zero; beyond the ends, the nearer end.
    #[must_use]
    pub(super) fn price(self, tick: i64) -> Price {
        let mut left = tick.max(0);
        for band in self.bands() {
            if left <= steps(*band) {
                let units = i64::from(band.start) + left * i64::from(band.step);
                return Price::from_units(units).unwrap_or(Price::DOLLAR);
            }
            left -= steps(*band);
        }
        Price::DOLLAR
    }
}

const fn band(start: u16, end: u16, step: u16) -> Band {
    Band { start, end, step }
}

fn steps(band: Band) -> i64 {
    i64::from((band.end - band.start) / band.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Grid; 4] = [Grid::Cent, Grid::Deci, Grid::Tapered, Grid::CentiEdge];

    #[test]
    fn ticks_climb_from_zero_to_a_dollar_and_mirror() {
        for grid in ALL {
            let prices: Vec<_> = (0..=grid.steps()).map(|tick| grid.price(tick)).collect();
            assert!(prices.windows(2).all(|pair| pair[0] < pair[1]), "{grid:?}");
            assert_eq!(prices.first().unwrap().units(), 0);
            assert_eq!(*prices.last().unwrap(), Price::DOLLAR);
            let mirrored: Vec<_> = prices.iter().rev().map(|price| price.complement()).collect();
            assert_eq!(prices, mirrored, "{grid:?}");
        }
    }

    #[test]
    fn bands_step_as_labelled() {
        let price = |grid: Grid, tick| grid.price(tick).to_string();
        assert_eq!(price(Grid::Cent, 47), "0.4700");
        assert_eq!(price(Grid::Deci, 473), "0.4730");
        assert_eq!(price(Grid::Tapered, 99), "0.0990");
        assert_eq!(price(Grid::Tapered, 101), "0.1100");
        assert_eq!(price(Grid::CentiEdge, 7), "0.0007");
        assert_eq!(price(Grid::CentiEdge, 101), "0.0110");
    }
}
