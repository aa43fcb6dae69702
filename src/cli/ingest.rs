//! `kalshi ingest`.

use std::process::ExitCode;

use super::{Common, failure::Failure};

/// Record order books, trades and tickers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Markets to record
    tickers: Vec<String>,
}

pub(crate) fn run(_common: &Common, args: Args) -> Result<ExitCode, Failure> {
    Err(anyhow::anyhow!("recording is not built in yet ({} tickers)", args.tickers.len()).into())
}
