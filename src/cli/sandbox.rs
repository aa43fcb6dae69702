//! `kalshi sandbox`.

use std::process::ExitCode;

use super::{Common, failure::Failure};

/// Run the synthetic exchange on this machine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_common: &Common, _args: Args) -> Result<ExitCode, Failure> {
    Err(anyhow::anyhow!("the sandbox is not built in yet").into())
}
