//! `kalshi export-parquet`.

use std::process::ExitCode;

use super::{Common, failure::Failure};

/// Write recorded data as Parquet
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_common: &Common, _args: Args) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
