//! How far apart the best bid and ask are.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Error, Nanos, Range,
    bars::{Bars, mean, seconds},
    market::{Market, Piece, above},
    replay::Replay,
    rows,
};

/// The quoted spread in a bar, in YES cents: ask less bid, averaged over time. It is below zero
/// while a book is crossed, as it is for moments inside a burst of changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// Pairs of bid and ask in the bar.
    pub quotes: i64,
}

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

impl Sum {
    #[expect(clippy::cast_precision_loss, reason = "a statistic")]
    fn add(&mut self, (bid, ask): (Option<i32>, Option<i32>), ns: i64) {
        self.live_ns += ns;
        self.quotes += 1;
        let (Some(bid), Some(ask)) = (bid, ask) else { return };
        let spread = ask - bid;
        self.two_sided_ns += ns;
        self.spread_ns += i128::from(spread) * i128::from(ns);
        self.narrowest = Some(self.narrowest.map_or(spread, |least| least.min(spread)));
        self.widest = Some(self.widest.map_or(spread, |most| most.max(spread)));
        let double_mid = ask + bid;
        if double_mid > 0 {
            self.relative_ns += f64::from(2 * spread) / f64::from(double_mid) * ns as f64;
            self.relative_weight_ns += ns;
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
    // A quote that stands at the start was made before it, nobody knows when: the book tells it.
    let first = pieces.first().filter(|piece| piece.span.from_ns < from_ns);
    let standing = first
        .map(|piece| Ok::<_, Error>((*piece, Replay::of(market, piece.span).book(from_ns - 1)?)))
        .transpose()?;
    let standing_span = standing.as_ref().map(|(piece, _)| piece.span.span);
    let mut standing_until = i64::MAX;

    let columns = &["at_ns", "stood_ns", "span", "bid", "ask"];
    let mut last: (u64, &[(i64, i64)]) = (u64::MAX, &[]);
    market.scan("quote", columns, (from_ns, to_ns), |place, batch| {
        let (at, stood) = (rows::times(batch, "at_ns")?, rows::times(batch, "stood_ns")?);
        let (bids, asks) = (rows::prices(batch, "bid")?, rows::prices(batch, "ask")?);
        let spans = rows::ids(batch, "span")?;
        for (row, ((span, at), stood)) in spans.iter().zip(at).zip(stood).enumerate() {
            let span = above(place, *span);
            if last.0 != span {
                last = (span, by_span.get(&span).map_or(&[], Vec::as_slice));
            }
            if standing_span == Some(span) {
                standing_until = standing_until.min(*at);
            }
            let quote = (rows::get(bids, row), rows::get(asks, row));
            for (live_from, live_to) in last.1 {
                let (from, to) = ((*at).max(*live_from), (at + stood).min(*live_to));
                bars.share(from, to, |sum, ns| sum.add(quote, ns));
            }
        }
        Ok(())
    })?;
    if let Some((piece, standing)) = standing {
        let quote = (
            standing.book.yes_bid().map(|level| i32::from(level.0.units())),
            standing.book.yes_ask().map(|level| i32::from(level.0.units())),
        );
        let to = standing_until.min(piece.to_ns).min(to_ns);
        bars.share(piece.from_ns.max(from_ns), to, |sum, ns| sum.add(quote, ns));
    }
    let bar = |(bar, sum): (Option<i64>, Sum)| SpreadBar {
        ticker: market.ticker.clone(),
        bar: bar.map(Nanos),
        live_s: seconds(sum.live_ns),
        two_sided_s: seconds(sum.two_sided_ns),
        mean_cents: mean(sum.spread_ns, sum.two_sided_ns).map(|units| units / 100.0),
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
