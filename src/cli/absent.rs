//! Stands in for the commands that need DuckDB, where it is not built in.

use std::{ffi::OsString, process::ExitCode};

use clap::Subcommand;

use super::{Common, failure::Failure};

/// Any question.
#[derive(Debug, Subcommand)]
#[expect(dead_code, reason = "whatever was asked, the answer is the same")]
pub(crate) enum Question {
    #[command(external_subcommand)]
    Any(Vec<OsString>),
}

/// Any arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Says how to get what is not there.
pub(crate) fn run<T>(_common: &Common, _asked: T) -> Result<ExitCode, Failure> {
    let failure = Failure::from(anyhow::anyhow!("this build records only: it is without DuckDB"));
    Err(failure.with_hint(
        "build with default features, or with `--features bundled`, to analyze and export",
    ))
}
