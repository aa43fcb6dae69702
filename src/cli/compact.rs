//! `kalshi compact`: the lake is brought up to date.

use std::process::ExitCode;

use kalshi_orderbook::lake::Outcome;
use serde::Serialize;

use super::{Common, Failure, analyze, limits::Limits, output};

/// Bring the lake up to date, as every question does by itself
///
/// The lake is what the recordings say, as Parquet. It lies in the folder `lake` of the log folder,
/// or where --lake-dir says, and can be deleted at any time: it is built again. For cron, so that
/// questions find nothing left to digest.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: Limits,
}

/// What was digested now.
#[derive(Default, Serialize)]
struct Digested {
    files: usize,
    lines: u64,
    frames: u64,
    snapshots: u64,
    deltas: u64,
    trades: u64,
    tickers: u64,
}

pub(crate) fn run(common: &Common, args: &Args) -> Result<ExitCode, Failure> {
    let report = analyze::load(common, args.limits)?.report();
    let total = report.total();
    let row = Digested {
        files: report.segments.len(),
        lines: total.lines,
        frames: total.frames,
        snapshots: total.of(Outcome::Snapshot),
        deltas: total.of(Outcome::Delta),
        trades: total.of(Outcome::Trade),
        tickers: total.of(Outcome::Ticker),
    };
    output::rows(common, &[row])?;
    output::earlier_oddities(common, report.earlier_oddities);
    Ok(ExitCode::SUCCESS)
}
