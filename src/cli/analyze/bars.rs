//! `kalshi analyze spread`, `vwap`, `imbalance`: a statistic of markets, over time or in bars.

use std::{num::NonZero, process::ExitCode};

use kalshi_orderbook::analysis::{Analyzer, Answer, Error, Range};
use serde::Serialize;

use super::{Common, Failure, output};
use crate::cli::time;

/// More bars than anyone reads, and about a gigabyte of text.
const BARS_MAX: u64 = 10_000_000;

pub(crate) const SPREAD: &str = "\
Examples:
  kalshi analyze spread KXBTC15M-26MAY110145-45
  kalshi analyze spread KXBTC15M-26MAY110145-45 --from 2026-05-11T05:33:45Z --every 10s
  kalshi analyze spread 'KXBTC15M-*' --from 2026-05-11 --to 2026-05-12 --every 1h --format csv

One row is a market, or with --every a bar of it. Columns:
  bar              start of the bar
  live_s           seconds in which the book is known
  two_sided_s      seconds in which it also has both sides: averages are over these
  mean_cents       ask less bid, averaged over time; min_cents, max_cents: the narrowest and widest
  mean_bps_of_mid  the same over mid, in hundredths of a per cent
  quotes           best bids and asks that stood in it, with those that lack a side

Nothing is averaged over holes: where the range crosses one, a warning names it, and with --strict
the exit code is 3.";

pub(crate) const VWAP: &str = "\
Examples:
  kalshi analyze vwap KXBTC15M-26MAY110145-45
  kalshi analyze vwap KXBTC15M-26MAY110145-45 --from now-1h --every 5m
  kalshi analyze vwap 'KXBTC15M-*' --from 2026-05-11 --format json

One row is a market, or with --every a bar with a trade. Prices are YES dollars. Columns:
  bar                         start of the bar
  vwap                        sum of price times size over sum of size
  volume, trades              contracts, and number of trades
  block_volume, block_trades  the same of block trades, which are in no other column
  low, high                   the lowest and highest price

Where trades may be missing in the range, a warning says when, and with --strict the exit code is 3.";

pub(crate) const IMBALANCE: &str = "\
Examples:
  kalshi analyze imbalance KXBTC15M-26MAY110145-45 --depth 3
  kalshi analyze imbalance 'KXBTC15M-*' --from 2026-05-11T05:00 --every 1m

One row is a market, or with --every a bar of it. Columns:
  bar     start of the bar
  depth   levels of each side that count
  live_s  seconds in which the book is known and not empty
  mean    (yes - no) / (yes + no) over resting contracts, averaged over time: 1 all YES, -1 all NO
  last    the last value

Nothing is averaged over holes: where the range crosses one, a warning names it, and with --strict
the exit code is 3.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The markets, or globs such as 'KXBTC15M-*' (quoted)
    #[arg(required = true, value_name = "TICKER")]
    tickers: Vec<String>,
    #[command(flatten)]
    range: time::RangeArgs,
    /// Length of a bar, such as 10s, 15m or 1d: bars begin at whole multiples of it since 1970 [default: one bar]
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    every: Option<i64>,
}

impl Args {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.range.range().map(drop)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeepArgs {
    #[command(flatten)]
    args: Args,
    /// Levels of each side that count
    #[arg(long, value_name = "N", default_value = "5")]
    depth: NonZero<usize>,
}

impl DeepArgs {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.args.check()
    }
}

pub(crate) fn spread(
    common: &Common,
    analyzer: &Analyzer,
    args: &Args,
) -> Result<ExitCode, Failure> {
    each(common, analyzer, args, |ticker, range| analyzer.spread(ticker, range, args.every))
}

pub(crate) fn vwap(common: &Common, analyzer: &Analyzer, args: &Args) -> Result<ExitCode, Failure> {
    each(common, analyzer, args, |ticker, range| analyzer.vwap(ticker, range, args.every))
}

pub(crate) fn imbalance(
    common: &Common,
    analyzer: &Analyzer,
    DeepArgs { args, depth }: &DeepArgs,
) -> Result<ExitCode, Failure> {
    each(common, analyzer, args, |ticker, range| {
        analyzer.imbalance(ticker, range, args.every, depth.get())
    })
}

fn each<Row: Serialize + Default>(
    common: &Common,
    analyzer: &Analyzer,
    args: &Args,
    ask: impl Fn(&str, Range) -> Result<Answer<Row>, Error>,
) -> Result<ExitCode, Failure> {
    let range = args.range.range()?;
    let tickers = super::tickers(analyzer, &args.tickers)?;
    if let Some(every) = args.every {
        let mut bars = 0_u64;
        for ticker in &tickers {
            bars = bars.saturating_add(analyzer.bars(ticker, range, every)?);
        }
        if bars > BARS_MAX {
            return Err(Failure::usage(format!(
                "bars of this length are too many: up to {bars}, and {BARS_MAX} is the limit"
            ))
            .with_hint("make --every longer, or the range shorter with --from and --to"));
        }
    }
    let (mut rows, mut holes) = (Vec::new(), Vec::new());
    for ticker in &tickers {
        let answer = ask(ticker, range)?;
        rows.extend(answer.rows);
        holes.extend(answer.holes);
    }
    output::rows(common, &rows)?;
    Ok(output::holes(common, &holes))
}
