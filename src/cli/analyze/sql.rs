//! `kalshi analyze sql`.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use kalshi_orderbook::analysis::{Analyzer, Existing, FileFormat};

use super::{Common, Failure, output};

/// Run a query in SQL over the views
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Views: ticker_data, trades, book_events, bbo, lifecycle, markets, sessions, gaps, spans,
coverage, oddities. `DESCRIBE bbo` lists the columns of one; docs/sql.md says what they mean.
book_at(wanted, instant) is the book of a market at an instant;
spread_bars(wanted, start, stop, every) and vwap_bars(wanted, start, stop, every) are
`analyze spread` and `analyze vwap`.

Examples:
  kalshi analyze sql \"SELECT AVG(price) FROM ticker_data WHERE ticker = 'KXBTC15M-26MAY110145-45'\"
  kalshi analyze sql \"FROM book_at('KXBTC15M-26MAY110145-45', '2026-05-11 05:34:00')\"
  kalshi analyze sql \"FROM trades JOIN read_csv('mine.csv') USING (trade_id)\"
  kalshi analyze sql \"FROM bbo WHERE series = 'KXBTC15M'\" --out bbo.parquet
  kalshi analyze sql - < query.sql

One query at a time, and it only reads: also files of your own, with read_csv, read_parquet and
their like. COPY, CREATE, INSERT, ATTACH, SET and all else that changes something is refused.
Prices are dollars, sizes contracts, times UTC. Where something is missing in what the query reads, at
whatever time, a warning says how often, and with --strict the exit code is 3; of a macro, it names the
holes of its market. Which of them the answer crosses, the views `gaps` and `coverage` say. Ctrl-C stops it at once, with exit code 130.")]
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
    let beneath = analyzer.beneath(&query)?;
    let counts = [
        (beneath.gaps, "gap", " (`FROM gaps`)"),
        (beneath.pauses, "pause", " between sessions (`FROM sessions`)"),
    ];
    let counts = counts.into_iter().filter(|(count, ..)| *count > 0).map(|(count, name, more)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {name}{plural}{more}")
    });
    let counts: Vec<String> = counts.collect();
    if !counts.is_empty() {
        let text = format!(
            "what the query reads has {}; SQL does not say whether its answer crosses that",
            counts.join(" and ")
        );
        output::warn(common, &text);
    }
    let code = output::holes(common, &beneath.of_markets);
    Ok(if !beneath.is_empty() && common.strict { ExitCode::from(3) } else { code })
}
