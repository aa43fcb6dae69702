//! `kalshi export-parquet`.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::ValueEnum;
use kalshi_orderbook::analysis::{Existing, Table};

use super::{Common, analyze, failure::Failure, output};

/// Write recorded data as Parquet
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kalshi export-parquet KXBTC15M-26MAY110145-45 book.parquet
  kalshi export-parquet KXBTC15M-26MAY110145-45 quotes.parquet --table bbo
  kalshi export-parquet --all archive/          archive/book_events/date=2026-05-11/series=KXBTC15M/...

Prices are DECIMAL(6,4) dollars, sizes DECIMAL(18,2) contracts, times UTC in nanoseconds.")]
pub(crate) struct Args {
    /// The market
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    ticker: Option<String>,
    /// The file to write
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    out: Option<PathBuf>,
    /// Write all markets into this folder, by table, day and series
    #[arg(long, value_name = "OUT_DIR")]
    all: Option<PathBuf>,
    /// The table [default: book_events; with --all every one]
    #[arg(long, value_enum, value_name = "TABLE")]
    table: Option<TableArg>,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum TableArg {
    /// Every level change
    BookEvents,
    /// Every change of the best bid or ask
    Bbo,
    /// Public trades
    Trades,
    /// Ticker messages
    TickerData,
    /// Lifecycle messages
    Lifecycle,
}

impl From<TableArg> for Table {
    fn from(arg: TableArg) -> Self {
        match arg {
            TableArg::BookEvents => Self::BookEvents,
            TableArg::Bbo => Self::Bbo,
            TableArg::Trades => Self::Trades,
            TableArg::TickerData => Self::TickerData,
            TableArg::Lifecycle => Self::Lifecycle,
        }
    }
}

pub(crate) fn run(common: &Common, args: Args) -> Result<ExitCode, Failure> {
    let existing = if args.force { Existing::Overwrite } else { Existing::Keep };
    let analyzer = analyze::load(common)?;
    let table = args.table.map(Table::from);
    let exported = match (&args.all, &args.ticker, &args.out) {
        (Some(folder), _, _) => {
            let tables = table.map_or_else(|| Table::ALL.to_vec(), |table| vec![table]);
            analyzer.export_all(&tables, folder, existing)?
        }
        (None, Some(ticker), Some(out)) => {
            vec![analyzer.export(ticker, table.unwrap_or(Table::BookEvents), out, existing)?]
        }
        _ => return Err(anyhow::anyhow!("a market and a file are needed, or --all").into()),
    };
    let mut out = output::stdout();
    for part in exported {
        writeln!(out, "{}: {} rows of {}", part.path.display(), part.rows, part.table.as_str())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
