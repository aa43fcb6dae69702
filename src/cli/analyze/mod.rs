//! `kalshi analyze`: one question a file.

mod load;
mod book;
mod bars;
mod archive;
mod sql;

use std::{collections::HashSet, process::ExitCode};

use clap::Subcommand;
use kalshi_orderbook::analysis::Analyzer;

use super::{Common, failure::Failure, limits::Limits, output};

pub(crate) use load::load;

/// Ask the archive
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: Limits,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Print the order books of markets at an instant
    Book(book::Args),
    /// Quoted spread, averaged over time
    #[command(after_help = bars::SPREAD)]
    Spread(bars::Args),
    /// Volume-weighted average price of trades
    #[command(after_help = bars::VWAP)]
    Vwap(bars::Args),
    /// Which side more rests on, over the best levels
    #[command(after_help = bars::IMBALANCE)]
    Imbalance(bars::DeepArgs),
    /// What is recorded of each market
    Markets,
    /// Seconds of known book, and holes, of each market and hour
    Coverage,
    /// Every hole in which messages were lost: declared, found, repaired or not
    Gaps,
    /// Run a query in SQL over the views
    Sql(sql::Args),
}

pub(crate) fn run(common: &Common, args: Args) -> Result<ExitCode, Failure> {
    match &args.question {
        Question::Spread(args) | Question::Vwap(args) => args.check()?,
        Question::Imbalance(args) => args.check()?,
        Question::Sql(args) => args.check()?,
        Question::Book(_) | Question::Markets | Question::Coverage | Question::Gaps => {}
    }
    let analyzer = load(common, args.limits)?;
    let code = match answer(common, &analyzer, &args.question) {
        // Somebody has deleted it meanwhile, or a file of it was damaged: it is built again.
        Err(_) if !analyzer.has_whole_lakes() => {
            load::digest(common, &analyzer)?;
            answer(common, &analyzer, &args.question)?
        }
        code => code?,
    };
    // What a damaged recording held is missing under every answer.
    let damaged = common.strict && analyzer.report().is_damaged();
    Ok(if damaged && code == ExitCode::SUCCESS { ExitCode::from(3) } else { code })
}

fn answer(common: &Common, analyzer: &Analyzer, question: &Question) -> Result<ExitCode, Failure> {
    match question {
        Question::Book(args) => book::run(common, analyzer, args),
        Question::Spread(args) => bars::spread(common, analyzer, args),
        Question::Vwap(args) => bars::vwap(common, analyzer, args),
        Question::Imbalance(args) => bars::imbalance(common, analyzer, args),
        Question::Markets => archive::markets(common, analyzer),
        Question::Coverage => archive::coverage(common, analyzer),
        Question::Gaps => archive::gaps(common, analyzer),
        Question::Sql(args) => sql::run(common, analyzer, args),
    }
}

/// The markets that tickers and globs stand for, each once, in the order given.
fn tickers(analyzer: &Analyzer, wanted: &[String]) -> Result<Vec<String>, Failure> {
    let mut tickers = Vec::new();
    for wanted in wanted {
        tickers.extend(analyzer.tickers(wanted)?);
    }
    let mut seen = HashSet::new();
    tickers.retain(|ticker| seen.insert(ticker.clone()));
    Ok(tickers)
}
