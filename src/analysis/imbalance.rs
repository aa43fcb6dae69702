//! Which side more rests on.

use serde::Serialize;

use super::{
    Error, Nanos, Range,
    bars::{Bars, mean, seconds},
    market::{Market, Piece},
    replay::Replay,
};
use crate::book::TopLevels;
use crate::protocol::Side;

/// Book imbalance in a bar: `(yes - no) / (yes + no)` over the contracts resting on the best
/// levels of each side; 1 where all rest on YES, -1 where all rest on NO, none where nothing does.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ImbalanceBar {
    /// The market.
    pub ticker: String,
    /// The bar's start; none where there is one bar.
    pub bar: Option<Nanos>,
    /// Levels of each side that are counted.
    pub depth: usize,
    /// Seconds in which the book is known and not empty: the mean is over these.
    pub live_s: f64,
    /// The mean, weighted with time.
    pub mean: Option<f64>,
    /// The last value.
    pub last: Option<f64>,
}

#[derive(Default)]
struct Sum {
    ns: i64,
    /// Exact, so that it does not matter how the time was cut.
    weighted: i128,
    last: Option<f64>,
}

/// Imbalances are summed up as so many parts of 1.
const ONE: f64 = 1e15;

pub(super) fn imbalance(
    market: &Market<'_>,
    range: Range,
    every_ns: Option<i64>,
    depth: usize,
) -> Result<Vec<ImbalanceBar>, Error> {
    let mut bars = Bars::<Sum>::new(every_ns);
    let stretches = stretches(market, range)?;
    let sum = |number: usize| {
        let mut bars = Bars::<Sum>::new(every_ns);
        let Some((piece, from_ns, to_ns)) = stretches.get(number) else { return Ok(bars) };
        // The imbalance that stands, and since when.
        let mut standing = None;
        let mut stand = |value: Option<f64>, now_ns: i64| {
            if let Some((value, since_ns)) = standing {
                bars.share(since_ns, now_ns, |sum, ns| {
                    sum.ns = sum.ns.saturating_add(ns);
                    sum.weighted += i128::from(parts(value)) * i128::from(ns);
                    sum.last = Some(value);
                });
            }
            standing = value.map(|value| (value, now_ns));
        };
        let times = (*from_ns, *to_ns);
        Replay::of(market, piece.span).walk(times, depth, |top, at_ns| stand(of(top), at_ns))?;
        stand(None, *to_ns);
        Ok(bars)
    };
    market.source.each(stretches.len(), sum, |others| {
        bars.join(others, |sum, other| {
            sum.ns = sum.ns.saturating_add(other.ns);
            sum.weighted += other.weighted;
            sum.last = other.last.or(sum.last);
        });
    })?;
    let bars = bars.into_rows().map(|(bar, sum)| ImbalanceBar {
        ticker: market.ticker().to_owned(),
        bar: bar.map(Nanos),
        depth,
        live_s: seconds(sum.ns),
        mean: mean(sum.weighted, i128::from(sum.ns)).map(|parts| parts / ONE),
        last: sum.last,
    });
    Ok(bars.collect())
}

/// The times asked for in which the book is known, cut where each thread will have as much to do.
fn stretches<'m>(
    market: &'m Market<'_>,
    range: Range,
) -> Result<Vec<(Piece<'m>, i64, i64)>, Error> {
    let cuts = market.source.cuts("book_event", (range.start(), range.end()))?;
    let mut stretches = Vec::new();
    for piece in market.live() {
        let mut from_ns = piece.from_ns.max(range.start());
        let to_ns = piece.to_ns.min(range.end());
        for cut_ns in cuts.iter().copied().filter(|cut_ns| *cut_ns < to_ns) {
            if cut_ns > from_ns {
                stretches.push((piece, from_ns, cut_ns));
                from_ns = cut_ns;
            }
        }
        if from_ns < to_ns {
            stretches.push((piece, from_ns, to_ns));
        }
    }
    Ok(stretches)
}

/// A value of at most 1 in whole parts.
#[expect(clippy::cast_possible_truncation, reason = "a statistic: rounded to the nearest part")]
fn parts(value: f64) -> i64 {
    (value * ONE).round() as i64
}

/// The imbalance of what rests on the best levels.
fn of(top: &TopLevels) -> Option<f64> {
    let [yes, no] = [Side::Yes, Side::No].map(|side| contracts(top.contracts(side).units()));
    (yes + no > 0.0).then(|| (yes - no) / (yes + no))
}

#[expect(clippy::cast_precision_loss, reason = "a statistic, not a size")]
fn contracts(units: i64) -> f64 {
    units as f64 / 100.0
}
