//! How far apart the best bid and ask are.

use std::collections::{BTreeMap, HashMap, btree_map::Entry};

use arrow::record_batch::RecordBatch;
use serde::Serialize;

use super::{
    Error, Nanos, Range,
    bars::{Bars, mean, seconds},
    market::{Market, Piece},
    replay::Replay,
    rows,
};
use crate::book::Level;
use crate::lake::above;

/// The quoted spread in a bar, in YES cents: ask less bid, averaged over time. It is below zero
/// while a book is crossed, as it is for moments inside a burst of changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SpreadBar {
    /// The market.
    pub ticker: String,
    /// The bar's start; none where there is one bar.
    pub bar: Option<Nanos>,
    /// Seconds in which the book is known.
    pub live_s: f64,
    /// Seconds in which it also has both sides: the averages are over these.
    pub two_sided_s: f64,
    /// The mean, in cents.
    pub mean_cents: Option<f64>,
    /// The narrowest, in cents, exact.
    pub min_cents: Option<String>,
    /// The widest, in cents, exact.
    pub max_cents: Option<String>,
    /// The mean of spread over mid, in hundredths of a per cent.
    pub mean_bps_of_mid: Option<f64>,
    /// Best bids and asks that stood in the bar, with those that lack a side.
    pub quotes: i64,
}

/// Bid and ask, in ten-thousandths of a dollar.
type Quote = (Option<i32>, Option<i32>);

#[derive(Default)]
struct Sum {
    live_ns: i64,
    two_sided_ns: i64,
    /// Ten-thousandths of a dollar times nanoseconds: exact.
    spread_ns: i128,
    /// Spread over mid times nanoseconds, and over how many.
    relative_ns: f64,
    relative_weight_ns: i64,
    narrowest: Option<i32>,
    widest: Option<i32>,
    quotes: i64,
}

/// What some rows come to.
#[derive(Default)]
struct Part {
    /// Made when the length of the bars is known.
    bars: Option<Bars<Sum>>,
    /// Spans, and when a quote of them came; the first one of each is among them.
    firsts: Vec<(u64, i64)>,
}

impl Sum {
    fn join(&mut self, other: Self) {
        let least = |a: Option<i32>, b: Option<i32>| a.into_iter().chain(b).min();
        let most = |a: Option<i32>, b: Option<i32>| a.into_iter().chain(b).max();
        self.live_ns = self.live_ns.saturating_add(other.live_ns);
        self.two_sided_ns = self.two_sided_ns.saturating_add(other.two_sided_ns);
        self.spread_ns += other.spread_ns;
        self.relative_ns += other.relative_ns;
        self.relative_weight_ns = self.relative_weight_ns.saturating_add(other.relative_weight_ns);
        self.narrowest = least(self.narrowest, other.narrowest);
        self.widest = most(self.widest, other.widest);
        self.quotes += other.quotes;
    }

    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "a statistic")]
    fn add(&mut self, (bid, ask): Quote, ns: i64) {
        self.live_ns = self.live_ns.saturating_add(ns);
        self.quotes += 1;
        let (Some(bid), Some(ask)) = (bid, ask) else { return };
        let spread = ask - bid;
        self.two_sided_ns = self.two_sided_ns.saturating_add(ns);
        self.spread_ns += i128::from(spread) * i128::from(ns);
        self.narrowest = Some(self.narrowest.map_or(spread, |least| least.min(spread)));
        self.widest = Some(self.widest.map_or(spread, |most| most.max(spread)));
        let double_mid = ask + bid;
        if double_mid > 0 {
            self.relative_ns += f64::from(2 * spread) / f64::from(double_mid) * ns as f64;
            self.relative_weight_ns = self.relative_weight_ns.saturating_add(ns);
        }
    }
}

pub(super) fn spread(
    market: &Market<'_>,
    range: Range,
    every_ns: Option<i64>,
) -> Result<Vec<SpreadBar>, Error> {
    let (from_ns, to_ns) = (range.start(), range.end());
    let pieces = market.live();
    let wanted = |piece: &&Piece<'_>| piece.from_ns < to_ns && piece.to_ns > from_ns;
    let pieces: Vec<&Piece<'_>> = pieces.iter().filter(wanted).collect();
    let mut by_span: HashMap<u64, Vec<(i64, i64)>> = HashMap::new();
    for piece in &pieces {
        let times = (piece.from_ns.max(from_ns), piece.to_ns.min(to_ns));
        by_span.entry(piece.span.span).or_default().push(times);
    }
    let mut bars = Bars::<Sum>::new(every_ns);
    // Quotes that stand at the start were made before it, nobody knows when: the books tell them.
    let mut standing: BTreeMap<u64, (Quote, i64)> = BTreeMap::new();
    for span in pieces.iter().map(|piece| piece.span).filter(|span| span.from_ns < from_ns) {
        if let Entry::Vacant(quote) = standing.entry(span.span) {
            let book = Replay::of(market, span).book(from_ns - 1)?.book;
            let units = |level: Option<Level>| level.map(|level| i32::from(level.0.units()));
            quote.insert(((units(book.yes_bid()), units(book.yes_ask())), i64::MAX));
        }
    }
    let columns = &["at_ns", "stood_ns", "span", "bid", "ask"];
    let add = |part: &mut Part, place, batch: &RecordBatch| {
        let (at, stood) = (rows::times(batch, "at_ns")?, rows::times(batch, "stood_ns")?);
        let (bids, asks) = (rows::prices(batch, "bid")?, rows::prices(batch, "ask")?);
        let bars = part.bars.get_or_insert_with(|| Bars::new(every_ns));
        let mut last: (u64, &[(i64, i64)]) = (u64::MAX, &[]);
        let times = at.iter().zip(stood);
        for (row, (span, (at, stood))) in rows::ids(batch, "span")?.iter().zip(times).enumerate() {
            if last.0 != *span {
                let live = by_span.get(&above(place, *span)).map_or(&[][..], Vec::as_slice);
                last = (*span, live);
                part.firsts.push((above(place, *span), *at));
            }
            let quote = (rows::get(bids, row), rows::get(asks, row));
            for (live_from, live_to) in last.1 {
                let (from, to) = ((*at).max(*live_from), at.saturating_add(*stood).min(*live_to));
                bars.share(from, to, |sum, ns| sum.add(quote, ns));
            }
        }
        Ok(())
    };
    market.source.sum("quote", columns, (from_ns, to_ns), add, |part: Part| {
        if let Some(others) = part.bars {
            bars.join(others, Sum::join);
        }
        for (span, first_ns) in part.firsts {
            if let Some((_, until_ns)) = standing.get_mut(&span) {
                *until_ns = first_ns.min(*until_ns);
            }
        }
    })?;
    for (span, (quote, until_ns)) in standing {
        for (live_from, live_to) in by_span.get(&span).map_or(&[][..], Vec::as_slice) {
            bars.share(*live_from, until_ns.min(*live_to), |sum, ns| sum.add(quote, ns));
        }
    }
    let bar = |(bar, sum): (Option<i64>, Sum)| SpreadBar {
        ticker: market.ticker().to_owned(),
        bar: bar.map(Nanos),
        live_s: seconds(sum.live_ns),
        two_sided_s: seconds(sum.two_sided_ns),
        mean_cents: mean(sum.spread_ns, i128::from(sum.two_sided_ns)).map(|units| units / 100.0),
        min_cents: sum.narrowest.map(cents),
        max_cents: sum.widest.map(cents),
        mean_bps_of_mid: (sum.relative_weight_ns > 0)
            .then(|| sum.relative_ns / seconds(sum.relative_weight_ns) / 1e9 * 1e4),
        quotes: sum.quotes,
    };
    Ok(bars.into_rows().map(bar).collect())
}

/// Ten-thousandths of a dollar as cents.
fn cents(units: i32) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    format!("{sign}{}.{:02}", units / 100, units % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_are_exact() {
        assert_eq!([200, -5, 10_001, 0].map(cents), ["2.00", "-0.05", "100.01", "0.00"]);
    }
}
