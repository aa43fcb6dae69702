//! `kalshi analyze sql`.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use kalshi_orderbook::analysis::{Analyzer, Existing, FileFormat, Hole};

use super::{Common, Failure, output};

/// Run a query in SQL over the views
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Views: ticker_data, trades, book_events, bbo, lifecycle, markets, sessions, gaps, spans,
coverage, oddities. `DESCRIBE bbo` lists the columns of one; docs/sql.md says what they mean.
book_at(wanted, instant) is the book of a market at an instant; spread_bars(wanted, start, stop, every)
and vwap_bars(wanted, start, stop, every) are `analyze spread` and `analyze vwap`.

Examples:
  kalshi analyze sql \"SELECT AVG(price) FROM ticker_data WHERE ticker = 'KXBTC15M-26MAY110145-45'\"
  kalshi analyze sql \"FROM book_at('KXBTC15M-26MAY110145-45', '2026-05-11 05:34:00')\"
  kalshi analyze sql \"FROM trades JOIN read_csv('mine.csv') USING (trade_id)\"
  kalshi analyze sql \"FROM bbo WHERE series = 'KXBTC15M'\" --out bbo.parquet
  kalshi analyze sql - < query.sql

One query at a time, and it only reads: also files of your own, with read_csv, read_parquet and
their like. COPY, CREATE, INSERT, ATTACH, SET and all else that changes something is refused.
Prices are dollars, sizes contracts, times UTC. Where messages are missing in what the query reads, a
warning counts the holes, and with --strict the exit code is 3; which of them the answer crosses, the
views `gaps` and `coverage` say. Ctrl-C stops it at once, with exit code 130.")]
pub(crate) struct Args {
    /// The query; `-` reads it from standard input
    query: String,
    /// Write the result to a file: .parquet, .csv, .json, .jsonl or .ndjson
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long, requires = "out")]
    force: bool,
}

impl Args {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.out.as_deref().map(FileFormat::of).transpose()?;
        Ok(())
    }
}

pub(crate) fn run(common: &Common, analyzer: &Analyzer, args: &Args) -> Result<ExitCode, Failure> {
    let query = if args.query == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("read the query from standard input")?;
        text
    } else {
        args.query.clone()
    };
    match &args.out {
        None => output::batches(common, &analyzer.query(&query)?)?,
        Some(path) => {
            let existing = if args.force { Existing::Overwrite } else { Existing::Keep };
            let rows = analyzer.query_to_file(&query, path, existing)?;
            let mut out = output::stdout();
            writeln!(out, "{}: {rows} rows", path.display())?;
            out.flush()?;
        }
    }
    let holes = analyzer.holes_beneath(&query)?;
    if let Some(Hole { ticker, from, to, reason }) = holes.first() {
        let count = if let [_] = *holes {
            "a hole is".into()
        } else {
            format!("{} holes are", holes.len())
        };
        let text = format!(
            "{count} in what the query reads; whether its answer crosses it is not known. \
             The first is of {ticker} from {from} to {to} ({reason}); \
             `FROM coverage` and `FROM gaps` tell more"
        );
        output::warn(common, &text);
    }
    Ok(ExitCode::from(if !holes.is_empty() && common.strict { 3 } else { 0 }))
}
