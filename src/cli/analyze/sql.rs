//! `kalshi analyze sql`.

use std::{
    io::{self, Read},
    process::ExitCode,
};

use anyhow::Context;
use kalshi_orderbook::analysis::Analyzer;

use super::{Common, Failure, output};

/// Run any SQL over the views
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Views: ticker_data, trades, book_events, bbo, lifecycle, markets, sessions, gaps, spans,
coverage.
book_at(ticker, time) is the book of a market at an instant.

Examples:
  kalshi analyze sql \"SELECT AVG(price) FROM ticker_data WHERE ticker = 'KXBTC15M-26MAY110145-45'\"
  kalshi analyze sql \"FROM book_at('KXBTC15M-26MAY110145-45', '2026-05-11 05:34:00')\"
  kalshi analyze sql \"DESCRIBE bbo\"
  kalshi analyze sql - < query.sql")]
pub(crate) struct Args {
    /// The query; `-` reads it from standard input
    query: String,
}

pub(crate) fn run(common: &Common, analyzer: &Analyzer, args: &Args) -> Result<ExitCode, Failure> {
    let query = if args.query == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("read the query from standard input")?;
        text
    } else {
        args.query.clone()
    };
    output::batches(common, &analyzer.query(&query)?)?;
    Ok(ExitCode::SUCCESS)
}
