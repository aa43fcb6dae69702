//! Time cut into bars of one length, or into one bar.

/// What is summed up in each bar, oldest first. Bars start at whole multiples of their length
/// since the epoch.
#[derive(Debug)]
pub(super) struct Bars<Sum> {
    every_ns: Option<i64>,
    /// By the number of the bar.
    sums: Vec<(i64, Sum)>,
    /// Where the one used last is: the next is nearly always the same or the one after.
    last: usize,
}

impl<Sum: Default> Bars<Sum> {
    pub(super) const fn new(every_ns: Option<i64>) -> Self {
        Self { every_ns, sums: Vec::new(), last: 0 }
    }

    /// Spreads what stood over `[from_ns, to_ns)` over the bars of that time: `add` gets each bar
    /// and how long it stood in it.
    pub(super) fn share(&mut self, from_ns: i64, to_ns: i64, mut add: impl FnMut(&mut Sum, i64)) {
        let Some(every) = self.every_ns else {
            if from_ns < to_ns
                && let Some(sum) = self.sum(0)
            {
                add(sum, to_ns.saturating_sub(from_ns));
            }
            return;
        };
        let mut from = from_ns;
        while from < to_ns {
            let number = self.number(from);
            let end = number.saturating_add(1).saturating_mul(every).min(to_ns);
            if let Some(sum) = self.sum(number) {
                add(sum, end.saturating_sub(from));
            }
            // A bar that reaches past the end of time has no end.
            from = if end > from { end } else { to_ns };
        }
    }

    /// The bar of an instant.
    pub(super) fn at(&mut self, at_ns: i64) -> Option<&mut Sum> {
        self.sum(self.number(at_ns))
    }

    /// Adds other bars of the same length, which come after these or among them.
    pub(super) fn join(&mut self, others: Self, mut add: impl FnMut(&mut Sum, Sum)) {
        for (number, other) in others.sums {
            if let Some(sum) = self.sum(number) {
                add(sum, other);
            }
        }
    }

    /// Each bar's start, if there are several, and its sum.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (Option<i64>, Sum)> {
        let every = self.every_ns;
        let start = move |number: i64| every.map(|every| number.saturating_mul(every));
        self.sums.into_iter().map(move |(number, sum)| (start(number), sum))
    }

    fn number(&self, at_ns: i64) -> i64 {
        self.every_ns.map_or(0, |every| at_ns.div_euclid(every.max(1)))
    }

    #[inline]
    fn sum(&mut self, number: i64) -> Option<&mut Sum> {
        if self.sums.get(self.last).is_none_or(|(last, _)| *last != number) {
            self.last = match self.sums.binary_search_by_key(&number, |(number, _)| *number) {
                Ok(found) => found,
                Err(place) => {
                    self.sums.insert(place, (number, Sum::default()));
                    place
                }
            };
        }
        self.sums.get_mut(self.last).map(|(_, sum)| sum)
    }
}

/// Nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a statistic, not a time")]
pub(super) fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// The mean of what was summed up exactly, over its weight.
#[expect(clippy::cast_precision_loss, reason = "a statistic: rounded once, from the exact sum")]
pub(super) fn mean(sum: i128, weight: i128) -> Option<f64> {
    (weight > 0).then(|| sum as f64 / weight as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shared_among_its_bars_and_none_is_lost() {
        let mut bars: Bars<i64> = Bars::new(Some(10));
        bars.share(25, 31, |sum, ns| *sum += ns);
        bars.share(-3, 12, |sum, ns| *sum += ns);
        bars.share(7, 7, |_, _| panic!("no time"));
        let rows: Vec<_> = bars.into_rows().collect();
        let start = |bar| Some(bar);
        assert_eq!(
            rows,
            [(start(-10), 3), (start(0), 10), (start(10), 2), (start(20), 5), (start(30), 1)]
        );
        let mut one: Bars<i64> = Bars::new(None);
        one.share(7, 7, |_, _| panic!("no time"));
        assert!(one.sums.is_empty());
        one.share(i64::MIN, i64::MIN + 5, |sum, ns| *sum += ns);
        one.share(25, 31, |sum, ns| *sum += ns);
        assert_eq!(one.into_rows().collect::<Vec<_>>(), [(None, 11)]);
    }
}
