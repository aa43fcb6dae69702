//! `kalshi export-parquet`.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::ValueEnum;
use kalshi_orderbook::analysis::{Existing, FileFormat, Selection, Table};

use super::{Common, analyze, failure::Failure, limits::Limits, output, time};

/// Write recorded data as Parquet, CSV or JSON
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kalshi export-parquet KXBTC15M-26MAY110145-45 book.parquet
  kalshi export-parquet KXBTC15M-26MAY110145-45 quotes.parquet --table bbo
  kalshi export-parquet 'KXBTC15M-*' trades.csv --table trades --from 2026-05-11 --to 2026-05-12
  kalshi export-parquet --all archive/          archive/book_events/date=2026-05-11/series=KXBTC15M/...

The suffix says how: .parquet, .csv, .json, .jsonl or .ndjson. Prices are DECIMAL(6,4) dollars,
sizes DECIMAL(18,2) contracts, times nanoseconds, UTC without a zone. Rows are sorted by market and
time. Where the range crosses holes, warnings name them, and with --strict the exit code is 3.")]
pub(crate) struct Args {
    /// The market, or a glob such as 'KXBTC15M-*' (quoted)
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
    #[command(flatten)]
    range: time::RangeArgs,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    limits: Limits,
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
    /// What is recorded of each market
    Markets,
    /// Every hole
    Gaps,
    /// Seconds of known book, by market and hour
    Coverage,
    /// Times in which a book is known to be right
    Spans,
    /// Recording sessions
    Sessions,
    /// What was odd in sessions
    Oddities,
}

impl From<TableArg> for Table {
    fn from(arg: TableArg) -> Self {
        match arg {
            TableArg::BookEvents => Self::BookEvents,
            TableArg::Bbo => Self::Bbo,
            TableArg::Trades => Self::Trades,
            TableArg::TickerData => Self::TickerData,
            TableArg::Lifecycle => Self::Lifecycle,
            TableArg::Markets => Self::Markets,
            TableArg::Gaps => Self::Gaps,
            TableArg::Coverage => Self::Coverage,
            TableArg::Spans => Self::Spans,
            TableArg::Sessions => Self::Sessions,
            TableArg::Oddities => Self::Oddities,
        }
    }
}

pub(crate) fn run(common: &Common, args: Args) -> Result<ExitCode, Failure> {
    let existing = if args.force { Existing::Overwrite } else { Existing::Keep };
    let selection = Selection { markets: args.ticker, range: args.range.range()? };
    args.out.as_deref().map(FileFormat::of).transpose()?;
    let table = args.table.map(Table::from);
    let analyzer = analyze::load(common, args.limits)?;
    let (tables, exported) = match (&args.all, &args.out) {
        (Some(folder), _) => {
            let tables = table.map_or_else(|| Table::ALL.to_vec(), |table| vec![table]);
            let exported = analyzer.export_folder(&selection, &tables, folder, existing)?;
            (tables, exported)
        }
        (None, Some(out)) => {
            let table = table.unwrap_or(Table::BookEvents);
            (vec![table], vec![analyzer.export(selection.clone(), table, out, existing)?])
        }
        (None, None) => return Err(Failure::usage("a market and a file are needed, or --all")),
    };
    let mut out = output::stdout();
    for part in exported {
        writeln!(out, "{}: {} rows of {}", part.path.display(), part.rows, part.table.as_str())?;
    }
    out.flush()?;
    let mut holes = Vec::new();
    for table in tables {
        holes.extend(analyzer.crossed(&selection, table)?);
    }
    holes.sort_by(|a, b| (a.from, &a.ticker, a.to).cmp(&(b.from, &b.ticker, b.to)));
    holes.dedup();
    Ok(output::holes(common, &holes))
}
