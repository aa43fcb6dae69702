//! Which side more rests on.

use std::collections::BTreeMap;

use duckdb::Connection;
use serde::Serialize;

use super::{Error, Nanos, Range, replay};
use crate::book::Book;
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
    weighted: f64,
    last: Option<f64>,
}

pub(super) fn imbalance(
    connection: &Connection,
    ticker: &str,
    range: Range,
    every_ns: Option<i64>,
    depth: usize,
) -> Result<Vec<ImbalanceBar>, Error> {
    let mut bars: BTreeMap<Option<i64>, Sum> = BTreeMap::new();
    for piece in replay::live(connection, ticker)? {
        let from = piece.from_ns.max(range.start());
        let to = piece.to_ns.min(range.end());
        if from >= to {
            continue;
        }
        let mut add = |book: &Book, since: i64, until: i64| {
            if let Some(value) = of(book, depth) {
                share(&mut bars, value, since.max(from), until.min(to), every_ns);
            }
        };
        let (book, last) =
            replay::replay(connection, ticker, &piece.span, to - 1, |book, since, next| {
                add(book, since.at_ns, next.at_ns);
            })?;
        add(&book, last.at_ns, to);
    }
    let bars = bars.into_iter().map(|(bar, sum)| ImbalanceBar {
        ticker: ticker.to_owned(),
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

/// Spreads a value that stood over `[from, to)` over the bars of that time.
fn share(
    bars: &mut BTreeMap<Option<i64>, Sum>,
    value: f64,
    from: i64,
    to: i64,
    every: Option<i64>,
) {
    let mut from = from;
    while from < to {
        let bar = every.map(|every| from.div_euclid(every).saturating_mul(every));
        let end = match (bar, every) {
            (Some(bar), Some(every)) => to.min(bar.saturating_add(every)),
            _ => to,
        };
        let sum = bars.entry(bar).or_default();
        sum.ns += end - from;
        sum.weighted += value * seconds(end - from);
        sum.last = Some(value);
        from = end;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a statistic, not a time")]
fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a statistic, not a size")]
fn contracts(units: i64) -> f64 {
    units as f64 / 100.0
}
