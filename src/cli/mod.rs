//! What is typed. One file a subcommand; they call the library's public interface only.

pub(crate) mod dotenv;
pub(crate) mod failure;
mod stdout;
mod common;
mod time;
#[cfg(feature = "duckdb")]
mod limits;
#[cfg(feature = "duckdb")]
mod interrupt;
#[cfg(feature = "duckdb")]
mod cell;
#[cfg(feature = "duckdb")]
mod json;
#[cfg(feature = "duckdb")]
mod table;
#[cfg(feature = "duckdb")]
mod output;
#[cfg(feature = "duckdb")]
mod analyze;
#[cfg(feature = "duckdb")]
mod compact;
#[cfg(feature = "duckdb")]
mod export;
#[cfg(not(feature = "duckdb"))]
mod absent;
#[cfg(not(feature = "duckdb"))]
use absent as analyze;
#[cfg(not(feature = "duckdb"))]
use absent as compact;
#[cfg(not(feature = "duckdb"))]
use absent as export;
mod credentials;
mod signals;
mod tickers;
mod ingest;
mod sandbox;
mod verify;

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use kalshi_orderbook::protocol::Ticker;

pub(crate) use common::Common;
use failure::Failure;

/// Records Kalshi's order books and answers questions over the archive
#[derive(Debug, Parser)]
#[command(
    version,
    subcommand_required = true,
    after_help = "\
Examples:
  kalshi ingest KXBTCD-26FEB0620-T72999.99     record one market
  kalshi < tickers.txt                         record the markets of a list
  kalshi analyze markets                       what is recorded
  kalshi analyze book KXBTCD-26FEB0620-T72999.99 --at 2026-02-06T19:59:00Z
  kalshi export-parquet KXBTCD-26FEB0620-T72999.99 book.parquet

Without a subcommand, `kalshi [FLAGS]` means `kalshi ingest [FLAGS]`.
Exit codes: 0 done, 1 failed, 2 usage, 3 holes in the answer and --strict given,
130 a question was stopped by a signal, or a recorder by a second one."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record order books, trades and tickers
    Ingest(ingest::Args),
    /// Ask the archive: book, spread, vwap, imbalance, markets, coverage, gaps, sql
    Analyze(analyze::Args),
    /// Write recorded data as Parquet, CSV or JSON
    ExportParquet(export::Args),
    /// Bring the lake up to date, as every question does by itself
    Compact(compact::Args),
    /// Prove the recordings: digests, counts, sequences, declared against found holes
    Verify(verify::Args),
    /// Run the synthetic exchange on this machine, for trying any client
    Sandbox(sandbox::Args),
}

/// Runs what was typed.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Ingest(args) => ingest::run(&cli.common, args),
        Command::Verify(args) => verify::run(&cli.common, &args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Analyze(args) => analyze::run(&cli.common, args),
        Command::ExportParquet(args) => export::run(&cli.common, args),
        Command::Compact(args) => compact::run(&cli.common, &args),
    }
}

/// Parses a command line. Flags of `ingest` without any subcommand mean `ingest`.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let piped = !io::stdin().is_terminal();
    let mut first = match Cli::try_parse_from(&args) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let named = |arg: &OsString| {
        Cli::command().get_subcommands().any(|command| Some(command.get_name()) == arg.to_str())
    };
    // A subcommand counts only before the unknown flag; behind it the word may be a value, as in
    // `kalshi --env sandbox`.
    let unknown = first.get(ContextKind::InvalidArg).map(ToString::to_string);
    let is_unknown =
        |arg: &OsString| arg.to_str().and_then(|arg| arg.split('=').next()) == unknown.as_deref();
    let nothing_named = matches!(
        first.kind(),
        ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::UnknownArgument
    ) && !args.iter().take_while(|arg| !is_unknown(arg)).any(named);
    let fall_back = nothing_named && (args.len() > 1 || piped);
    if !fall_back {
        suggest(&mut first, |word| args.iter().take_while(|arg| *arg != word).find(|a| named(a)));
        return Err(first);
    }
    let mut args = args;
    args.insert(args.len().min(1), "ingest".into());
    // The second error knows the flags of `ingest`, among which the unknown one was looked for.
    Cli::try_parse_from(args)
}

/// Tells what a ticker in the place of a subcommand may have been meant for; `before` finds the
/// subcommand in front of it.
fn suggest<'a>(error: &mut clap::Error, before: impl Fn(&str) -> Option<&'a OsString>) {
    let word = error.get(ContextKind::InvalidSubcommand).map(ToString::to_string);
    let Some(word) = word.filter(|word| word.parse::<Ticker>().is_ok()) else { return };
    let book = format!("`kalshi analyze book {word}` prints the book that is recorded of it");
    let tips = match before(&word).and_then(|command| command.to_str()) {
        None => vec![format!("`kalshi ingest {word}` records a market"), book],
        Some("analyze") => vec![book],
        Some(_) => return,
    };
    if error.get(ContextKind::SuggestedSubcommand).is_none() {
        let tips = tips.into_iter().map(Into::into).collect();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
}
