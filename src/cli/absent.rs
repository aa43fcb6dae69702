//! Stands in for the commands that need DuckDB, where it is not built in.

use std::{ffi::OsString, process::ExitCode};

use super::{Common, failure::Failure};

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
