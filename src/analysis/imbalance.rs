//! Which side more rests on.

use serde::Serialize;

use super::{
    Error, Nanos, Range,
    bars::{Bars, seconds},
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

/// The time asked for is cut into so many stretches, whose books are rebuilt at once, unless they
/// would be shorter than this.
const STRETCHES: i64 = 6;
const STRETCH_NS_MIN: i64 = 600_000_000_000;

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
    let live = market.live();
    let cut = |piece: &Piece<'_>| (piece.from_ns.max(range.start()), piece.to_ns.min(range.end()));
    let known_ns = live
        .iter()
        .map(cut)
        .fold(0_i64, |known, (from, to)| known.saturating_add(to.saturating_sub(from).max(0)));
    let stretch_ns = (known_ns / STRETCHES).max(STRETCH_NS_MIN);
    let mut stretches: Vec<(&Piece<'_>, i64, i64)> = Vec::new();
    for piece in &live {
        let (mut from_ns, to_ns) = cut(piece);
        while from_ns < to_ns {
            let until_ns = from_ns.saturating_add(stretch_ns).min(to_ns);
            stretches.push((piece, from_ns, until_ns));
            from_ns = until_ns;
        }
    }
    let sum = |number: usize| {
        let mut bars = Bars::<Sum>::new(every_ns);
        let Some((piece, from_ns, to_ns)) = stretches.get(number) else { return Ok(bars) };
        // The imbalance that stands, and since when.
        let mut standing = None;
        let mut stand = |value: Option<f64>, now_ns: i64| {
            if let Some((value, since_ns)) = standing {
                bars.share(since_ns, now_ns, |sum, ns| {
                    sum.ns = sum.ns.saturating_add(ns);
                    sum.weighted += value * seconds(ns);
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
    market.each(stretches.len(), sum, |others| {
        bars.join(others, |sum, other| {
            sum.ns = sum.ns.saturating_add(other.ns);
            sum.weighted += other.weighted;
            sum.last = other.last.or(sum.last);
        });
    })?;
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

/// The imbalance of what rests on the best levels.
fn of(top: &TopLevels) -> Option<f64> {
    let [yes, no] = [Side::Yes, Side::No].map(|side| contracts(top.contracts(side).units()));
    (yes + no > 0.0).then(|| (yes - no) / (yes + no))
}

#[expect(clippy::cast_precision_loss, reason = "a statistic, not a size")]
fn contracts(units: i64) -> f64 {
    units as f64 / 100.0
}
