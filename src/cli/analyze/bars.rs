//! `kalshi analyze spread`, `vwap`, `imbalance`: a statistic of markets, over time or in bars.

use std::process::ExitCode;

use kalshi_orderbook::analysis::{Analyzer, Answer, Error, Hole, Range};
use serde::Serialize;

use super::{Common, Failure, output};
use crate::cli::time;

/// The most holes that are named one by one.
const HOLES_NAMED: usize = 5;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kalshi analyze spread KXBTC15M-26MAY110145-45 --from 2026-05-11T05:33:45Z --every 10s

Nothing is averaged over holes: where the range crosses one, a warning names it, and with --strict
the exit code is 3.")]
pub(crate) struct Args {
    /// The markets
    #[arg(required = true)]
    tickers: Vec<String>,
    /// The first instant: RFC 3339 with zone, integer ns since 1970, or now-15m [default: all]
    #[arg(long, value_name = "TIME", value_parser = time::instant)]
    from: Option<i64>,
    /// The first instant after the last [default: all]
    #[arg(long, value_name = "TIME", value_parser = time::instant)]
    to: Option<i64>,
    /// Length of a bar, such as 10s or 15m [default: one bar]
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    every: Option<i64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeepArgs {
    #[command(flatten)]
    args: Args,
    /// Levels of each side that count
    #[arg(long, value_name = "N", default_value_t = 5)]
    depth: usize,
}

pub(crate) fn spread(
    common: &Common,
    analyzer: &Analyzer,
    args: &Args,
) -> Result<ExitCode, Failure> {
    each(common, args, |ticker, range| analyzer.spread(ticker, range, args.every))
}

pub(crate) fn vwap(common: &Common, analyzer: &Analyzer, args: &Args) -> Result<ExitCode, Failure> {
    each(common, args, |ticker, range| analyzer.vwap(ticker, range, args.every))
}

pub(crate) fn imbalance(
    common: &Common,
    analyzer: &Analyzer,
    DeepArgs { args, depth }: &DeepArgs,
) -> Result<ExitCode, Failure> {
    each(common, args, |ticker, range| analyzer.imbalance(ticker, range, args.every, *depth))
}

fn each<Row: Serialize>(
    common: &Common,
    args: &Args,
    ask: impl Fn(&str, Range) -> Result<Answer<Row>, Error>,
) -> Result<ExitCode, Failure> {
    let range = Range { from_ns: args.from, to_ns: args.to };
    let (mut rows, mut holes) = (Vec::new(), Vec::new());
    for ticker in &args.tickers {
        let answer = ask(ticker, range)?;
        rows.extend(answer.rows);
        holes.extend(answer.holes);
    }
    output::rows(common, &rows)?;
    tell(common, &holes);
    Ok(ExitCode::from(if !holes.is_empty() && common.strict { 3 } else { 0 }))
}

fn tell(common: &Common, holes: &[Hole]) {
    for Hole { ticker, from, to, reason } in holes.iter().take(HOLES_NAMED) {
        output::warn(common, &format!("{ticker} has a hole from {from} to {to}: {reason}"));
    }
    if let Some(more) = holes.len().checked_sub(HOLES_NAMED).filter(|more| *more > 0) {
        output::warn(common, &format!("and {more} more holes; `kalshi analyze gaps` lists all"));
    }
}
