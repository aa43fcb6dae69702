//! `kalshi analyze`: one question a file.

mod book;
mod load;

use std::process::ExitCode;

use clap::Subcommand;

use super::{Common, failure::Failure, output};

/// Ask the archive
#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// Print the order book of a market at an instant
    Book(book::Args),
}

pub(crate) fn run(common: &Common, question: Question) -> Result<ExitCode, Failure> {
    let analyzer = load::load(common)?;
    match question {
        Question::Book(args) => book::run(common, &analyzer, &args),
    }
}
