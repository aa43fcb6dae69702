//! Which side more rests on.

use serde::Serialize;

use super::{
    Error, Nanos, Range,
    bars::{Bars, seconds},
    market::Market,
    replay::Replay,
};
use crate::book::Book;
use crate::protocol::Side;

/// Book imbalance in a bar: `(yes - no) / (yes + no)` over the contracts resting on the best
/// levels of each side; 1 where all rest on YES, -1 where all rest on NO, none where nothing does.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    weighted: f64,
    last: Option<f64>,
}

pub(super) fn imbalance(
    market: &Market<'_>,
    range: Range,
    every_ns: Option<i64>,
    depth: usize,
) -> Result<Vec<ImbalanceBar>, Error> {
    let mut bars = Bars::<Sum>::new(every_ns);
    for piece in market.live() {
        let from_ns = piece.from_ns.max(range.start());
        let to_ns = piece.to_ns.min(range.end());
        if from_ns >= to_ns {
            continue;
        }
        Replay::of(market, piece.span).walk(from_ns, to_ns, |book, since_ns, until_ns| {
            let Some(value) = of(book, depth) else { return };
            bars.share(since_ns, until_ns, |sum, ns| {
                sum.ns += ns;
                sum.weighted += value * seconds(ns);
                sum.last = Some(value);
            });
        })?;
    }
    let bars = bars.into_rows().map(|(bar, sum)| ImbalanceBar {
        ticker: market.ticker.clone(),
        bar: bar.map(Nanos),
        depth,
        live_s: seconds(sum.ns),
        mean: (sum.ns > 0).then(|| sum.weighted / seconds(sum.ns)),
        last: sum.last,
    });
    Ok(bars.collect())
}

/// The imbalance of one book.
fn of(book: &Book, depth: usize) -> Option<f64> {
    let [yes, no] = [Side::Yes, Side::No].map(|side| contracts(book.top(side, depth).units()));
    (yes + no > 0.0).then(|| (yes - no) / (yes + no))
}

#[expect(clippy::cast_precision_loss, reason = "a statistic, not a size")]
fn contracts(units: i64) -> f64 {
    units as f64 / 100.0
}
