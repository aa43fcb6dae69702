//! `kalshi analyze`: one question a file.

mod load;
mod book;
mod bars;
mod archive;
mod sql;

use std::process::ExitCode;

use clap::Subcommand;

use super::{Common, failure::Failure, output};

pub(crate) use load::load;

/// Ask the archive
#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// Print the order book of a market at an instant
    Book(book::Args),
    /// Quoted spread, averaged over time
    Spread(bars::Args),
    /// Volume-weighted average price of trades
    Vwap(bars::Args),
    /// Which side more rests on, over the best levels
    Imbalance(bars::DeepArgs),
    /// What is recorded of each market
    Markets,
    /// Seconds of known book, and holes, of each market and hour
    Coverage,
    /// Every hole of the archive: declared, found, repaired or not
    Gaps,
    /// Run any SQL over the views
    Sql(sql::Args),
}

pub(crate) fn run(common: &Common, question: Question) -> Result<ExitCode, Failure> {
    let analyzer = load(common)?;
    match question {
        Question::Book(args) => book::run(common, &analyzer, &args),
        Question::Spread(args) => bars::spread(common, &analyzer, &args),
        Question::Vwap(args) => bars::vwap(common, &analyzer, &args),
        Question::Imbalance(args) => bars::imbalance(common, &analyzer, &args),
        Question::Markets => archive::markets(common, &analyzer),
        Question::Coverage => archive::coverage(common, &analyzer),
        Question::Gaps => archive::gaps(common, &analyzer),
        Question::Sql(args) => sql::run(common, &analyzer, &args),
    }
}
