//! At what price contracts changed hands.

use std::collections::HashMap;

use arrow::{
    array::{Array, AsArray},
    record_batch::RecordBatch,
};
use serde::Serialize;

use super::{
    Error, Nanos, Range,
    bars::{Bars, mean},
    market::Market,
    rows,
};
use crate::lake::above;

/// Trades of a bar. Prices are YES dollars; block trades, which are matched off the book, are
/// counted apart and in no other column.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VwapBar {
    /// The market.
    pub ticker: String,
    /// The bar's start; none where there is one bar.
    pub bar: Option<Nanos>,
    /// Sum of price times size over sum of size.
    pub vwap: Option<f64>,
    /// Contracts, exact.
    pub volume: String,
    /// Number of trades.
    pub trades: i64,
    /// Contracts of block trades, exact.
    pub block_volume: String,
    /// Number of block trades.
    pub block_trades: i64,
    /// The lowest price.
    pub low: Option<String>,
    /// The highest price.
    pub high: Option<String>,
}

/// What counts of a trade: price in ten-thousandths of a dollar, size in hundredths of a contract.
#[derive(Debug, Clone, Copy)]
struct Trade {
    price: i32,
    size: i64,
    is_block: bool,
}

/// What some rows come to.
#[derive(Default)]
struct Part {
    /// Made when the length of the bars is known.
    bars: Option<Bars<Sum>>,
    named: HashMap<String, Named>,
}

/// The trades of one name in the stream that had it first. More than one is there only where the
/// exchange gave a name twice.
struct Named {
    /// When the stream had the first of them: time, stream and number.
    since: (i64, u64, i64),
    trades: Vec<(i64, Trade)>,
}

/// So much before a range, a trade in it may have been recorded first.
const LOOKS_BACK_NS: i64 = 86_400_000_000_000;

#[derive(Default)]
struct Sum {
    /// Exact, so that the order of trades does not matter.
    price_size: i128,
    volume: i128,
    trades: i64,
    block_volume: i128,
    block_trades: i64,
    low: Option<i32>,
    high: Option<i32>,
}

impl Named {
    /// Adds trades to those that are known by their name.
    fn join_into(self, named: &mut HashMap<String, Self>, name: &str) {
        match named.get_mut(name) {
            Some(first) => first.join(self),
            None => drop(named.insert(name.to_owned(), self)),
        }
    }

    /// Of two streams that have a name, the one that had it first counts.
    fn join(&mut self, mut other: Self) {
        if self.since.1 == other.since.1 {
            self.since = self.since.min(other.since);
            self.trades.append(&mut other.trades);
        } else if other.since < self.since {
            *self = other;
        }
    }
}

impl Sum {
    fn join(&mut self, other: Self) {
        self.price_size += other.price_size;
        self.volume += other.volume;
        self.trades += other.trades;
        self.block_volume += other.block_volume;
        self.block_trades += other.block_trades;
        self.low = self.low.into_iter().chain(other.low).min();
        self.high = self.high.into_iter().chain(other.high).max();
    }

    #[inline]
    fn add(&mut self, Trade { price, size, is_block }: Trade) {
        if is_block {
            self.block_volume += i128::from(size);
            self.block_trades += 1;
            return;
        }
        self.price_size += i128::from(price) * i128::from(size);
        self.volume += i128::from(size);
        self.trades += 1;
        self.low = Some(self.low.map_or(price, |low| low.min(price)));
        self.high = Some(self.high.map_or(price, |high| high.max(price)));
    }
}

pub(super) fn vwap(
    market: &Market<'_>,
    range: Range,
    every_ns: Option<i64>,
) -> Result<Vec<VwapBar>, Error> {
    let mut bars = Bars::<Sum>::new(every_ns);
    // Two recorders at once both have each trade. After a reconnection nothing is sent again.
    let several = are_at_once(market);
    let mut named: HashMap<String, Named> = HashMap::new();
    let mut columns = vec!["at_ns", "stream", "price", "size", "is_block"];
    if several {
        columns.extend(["seq", "trade_id"]);
    }
    // It counts when it was recorded first, which may be before the range.
    let back_ns = if several { LOOKS_BACK_NS } else { 0 };
    let from_ns = range.start().saturating_sub(back_ns);
    let add = |part: &mut Part, place, batch: &RecordBatch| {
        let (times, streams) = (rows::times(batch, "at_ns")?, rows::ids(batch, "stream")?);
        let (prices, sizes) = (rows::prices(batch, "price")?, rows::sizes(batch, "size")?);
        let blocks = batch.column_by_name("is_block").and_then(|blocks| blocks.as_boolean_opt());
        let names = match several {
            true => Some((rows::texts(batch, "trade_id")?, rows::whole(batch, "seq")?)),
            false => None,
        };
        let bars = part.bars.get_or_insert_with(|| Bars::new(every_ns));
        let (mut stream, mut counts) = (u64::MAX, false);
        for (row, (at, number)) in times.iter().zip(streams).enumerate() {
            if above(place, *number) != stream {
                stream = above(place, *number);
                counts = market.streams.contains_key(&stream);
            }
            let level = (rows::get(prices, row), rows::get(sizes, row));
            let (true, (Some(price), Some(size))) = (counts, level) else { continue };
            // Trades from before the exchange marked them (August 2026) count as not block.
            let is_block = blocks.is_some_and(|blocks| blocks.is_valid(row) && blocks.value(row));
            let trade = Trade { price, size, is_block };
            let name = names.and_then(|(names, seqs)| Some((rows::text(names, row)?, seqs)));
            if let Some((name, seqs)) = name {
                let since = (*at, stream, rows::get(seqs, row).unwrap_or_default());
                Named { since, trades: vec![(*at, trade)] }.join_into(&mut part.named, name);
            } else if *at >= range.start()
                && let Some(sum) = bars.at(*at)
            {
                sum.add(trade);
            }
        }
        Ok(())
    };
    market.source.sum("trade", &columns, (from_ns, range.end()), add, |part: Part| {
        if let Some(others) = part.bars {
            bars.join(others, Sum::join);
        }
        for (name, found) in part.named {
            found.join_into(&mut named, &name);
        }
    })?;
    let trades = named.into_values().flat_map(|named| named.trades);
    for (at, trade) in trades.filter(|(at, _)| *at >= range.start()) {
        if let Some(sum) = bars.at(at) {
            sum.add(trade);
        }
    }
    let bar = |(bar, sum): (Option<i64>, Sum)| VwapBar {
        ticker: market.ticker().to_owned(),
        bar: bar.map(Nanos),
        vwap: mean(sum.price_size, sum.volume).map(|units| units / 1e4),
        volume: decimal(sum.volume, 2),
        trades: sum.trades,
        block_volume: decimal(sum.block_volume, 2),
        block_trades: sum.block_trades,
        low: sum.low.map(|units| decimal(i128::from(units), 4)),
        high: sum.high.map(|units| decimal(i128::from(units), 4)),
    };
    Ok(bars.into_rows().map(bar).collect())
}

/// Whether two streams had trades of the market at the same time.
fn are_at_once(market: &Market<'_>) -> bool {
    let trading = market.streams.values().filter(|stream| stream.trades > 0);
    let mut times: Vec<(i64, i64)> =
        trading.map(|stream| (stream.first_ns, stream.last_ns)).collect();
    times.sort_unstable();
    let mut last = i64::MIN;
    times.into_iter().any(|(first_ns, last_ns)| {
        let at_once = first_ns <= last;
        last = last.max(last_ns);
        at_once
    })
}

/// Units as a number with so many decimal places.
fn decimal(units: i128, places: u32) -> String {
    let one = 10_u128.saturating_pow(places);
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    let width = usize::try_from(places).unwrap_or_default();
    format!("{sign}{}.{:0width$}", units / one, units % one)
}
