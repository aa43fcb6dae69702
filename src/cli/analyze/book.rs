//! `kalshi analyze book`.

use std::{
    io::{self, Write},
    num::NonZero,
    process::ExitCode,
};

use kalshi_orderbook::{
    analysis::{Analyzer, Error, MarketBook, Nanos, Status},
    book::Level,
    protocol::{Price, Side, Size},
};
use serde::Serialize;

use super::{Common, Failure, output};
use crate::cli::{common::Format, table, time};

/// Print the order books of markets at an instant
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kalshi analyze book KXBTC15M-26MAY110145-45
  kalshi analyze book KXBTC15M-26MAY110145-45 --at 2026-05-11T05:40:00Z --depth 10
  kalshi analyze book KXBTC15M-26MAY110145-45 --at now-15m --format json
  kalshi analyze book 'KXBTC15M-*' --at 2026-05-11T05:40:00Z --depth 1 --format csv

Bids of both sides are in their own side's dollars: a NO bid at 0.48 offers YES at 0.52.
The status is `ok` where the book is known to be right, `empty` where it is and nothing rests in
it, and `stale` in a hole: the book printed is then the last one that was right. In CSV a row is a
level, and an empty book is one row without side, price and size. In JSON one market is an object,
and several, or a glob, are an array of them; those without a book then are named by a warning.

A time without a zone is UTC.")]
pub(crate) struct Args {
    /// The markets, or globs such as 'KXBTC15M-*' (quoted)
    #[arg(required = true, value_name = "TICKER")]
    tickers: Vec<String>,
    /// The instant: 2026-05-11T05:40:00Z, a date, integer ns since 1970, or now-15m, now-1d [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = time::instant, conflicts_with = "seq")]
    at: Option<i64>,
    /// After the frame of this number of its subscription
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    seq: Option<i64>,
    /// Levels a side [default: all]
    #[arg(long, value_name = "N")]
    depth: Option<NonZero<usize>>,
}

impl Args {
    /// The one market that is asked for by its name.
    fn one(&self) -> Option<&str> {
        match self.tickers.as_slice() {
            [ticker] if !ticker.contains(['*', '?']) => Some(ticker),
            _ => None,
        }
    }

    fn ask(&self, analyzer: &Analyzer, ticker: &str) -> Result<MarketBook, Error> {
        match (self.at, self.seq) {
            (Some(at), _) => analyzer.reconstruct_book_at(ticker, at),
            (None, Some(seq)) => analyzer.reconstruct_book_at_seq(ticker, seq),
            (None, None) => analyzer.reconstruct_book(ticker),
        }
    }
}

pub(crate) fn run(common: &Common, analyzer: &Analyzer, args: &Args) -> Result<ExitCode, Failure> {
    let (books, missing) = match args.one() {
        Some(ticker) => (vec![args.ask(analyzer, ticker)?], Vec::new()),
        None => several(analyzer, args)?,
    };
    let depth = args.depth.map_or(usize::MAX, NonZero::get);
    match common.answer_format() {
        Format::Json => {
            let mut out = output::stdout();
            let books: Vec<_> = books.iter().map(|book| json(book, depth)).collect();
            match (books.as_slice(), args.one()) {
                ([book], Some(_)) => serde_json::to_writer(&mut out, book),
                (books, _) => serde_json::to_writer(&mut out, books),
            }
            .map_err(io::Error::from)?;
            writeln!(out)?;
            out.flush()?;
        }
        Format::Csv => {
            let rows: Vec<Row<'_>> = books.iter().flat_map(|book| rows(book, depth)).collect();
            output::rows(common, &rows)?;
        }
        Format::Table => {
            let mut out = output::stdout();
            for (place, book) in books.iter().enumerate() {
                if place > 0 {
                    writeln!(out)?;
                }
                ladder(&mut out, book, depth)?;
            }
            out.flush()?;
        }
    }
    let stale = books.iter().filter_map(|book| match &book.status {
        Status::Stale { since, reason } => {
            let of = if args.one().is_some() { "" } else { &format!(" of {}", book.ticker) };
            Some(format!("the book{of} is stale since {since}: {reason}"))
        }
        Status::Ok | Status::Empty => None,
    });
    let warnings: Vec<String> = missing.into_iter().chain(stale).collect();
    output::warn_of(common, &warnings, "more books are stale or missing");
    Ok(ExitCode::from(if !warnings.is_empty() && common.strict { 3 } else { 0 }))
}

/// The books of several markets, and what is to be told of those that have none then. An error
/// where none has one.
fn several(analyzer: &Analyzer, args: &Args) -> Result<(Vec<MarketBook>, Vec<String>), Failure> {
    let (mut books, mut missing) = (Vec::new(), Vec::new());
    let mut first = None;
    for ticker in super::tickers(analyzer, &args.tickers)? {
        match args.ask(analyzer, &ticker) {
            Ok(book) => books.push(book),
            Err(
                error @ (Error::NoBook(_) | Error::TooEarly { .. } | Error::NoSuchNumber { .. }),
            ) => {
                missing.push(error.to_string());
                first.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match first {
        Some(error) if books.is_empty() => Err(error.into()),
        _ => Ok((books, missing)),
    }
}

/// A level of a book; an empty book is one row without level.
#[derive(Default, Serialize)]
struct Row<'b> {
    ticker: &'b str,
    at: Nanos,
    session: &'b str,
    conn: i64,
    sid: Option<i64>,
    seq: i64,
    side: Option<String>,
    price: Option<String>,
    size: Option<String>,
    status: &'b str,
    stale_since: Option<Nanos>,
}

fn rows(found: &MarketBook, depth: usize) -> Vec<Row<'_>> {
    let row = |level: Option<(Side, Level)>| Row {
        ticker: &found.ticker,
        at: Nanos(found.at_ns),
        session: &found.session,
        conn: found.conn,
        sid: found.sid,
        seq: found.seq,
        side: level.map(|(side, _)| side.to_string()),
        price: level.map(|(_, (price, _))| price.to_string()),
        size: level.map(|(_, (_, size))| size.to_string()),
        status: found.status.as_str(),
        stale_since: match found.status {
            Status::Stale { since, .. } => Some(since),
            Status::Ok | Status::Empty => None,
        },
    };
    if found.book.is_empty() {
        return vec![row(None)];
    }
    let levels = |side| found.book.levels(side).take(depth).map(move |level| (side, level));
    [Side::Yes, Side::No].into_iter().flat_map(levels).map(Some).map(row).collect()
}

#[derive(Serialize)]
struct Json<'b> {
    ticker: &'b str,
    at_ns: i64,
    session: &'b str,
    conn: i64,
    sid: Option<i64>,
    seq: i64,
    recv_ns: Option<i64>,
    ts_ms: Option<i64>,
    yes: Vec<[String; 2]>,
    no: Vec<[String; 2]>,
    yes_bid: Option<String>,
    yes_ask: Option<String>,
    mid: Option<String>,
    spread: Option<String>,
    status: &'b str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_since_ns: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_reason: Option<&'b str>,
}

fn json(found: &MarketBook, depth: usize) -> Json<'_> {
    let levels = |side| {
        let text = |(price, size): Level| [price.to_string(), size.to_string()];
        found.book.levels(side).take(depth).map(text).collect()
    };
    let stale = match &found.status {
        Status::Stale { since, reason } => Some((since.0, reason.as_str())),
        Status::Ok | Status::Empty => None,
    };
    Json {
        ticker: &found.ticker,
        at_ns: found.at_ns,
        session: &found.session,
        conn: found.conn,
        sid: found.sid,
        seq: found.seq,
        recv_ns: found.recv_ns,
        ts_ms: found.event_ns.map(|ns| ns.div_euclid(1_000_000)),
        yes: levels(Side::Yes),
        no: levels(Side::No),
        yes_bid: found.book.yes_bid().map(|level| level.0.to_string()),
        yes_ask: found.book.yes_ask().map(|level| level.0.to_string()),
        mid: found.book.double_mid_units().map(half),
        spread: found.book.spread_units().map(dollars),
        status: found.status.as_str(),
        stale_since_ns: stale.map(|stale| stale.0),
        stale_reason: stale.map(|stale| stale.1),
    }
}

/// Half of ten-thousandths of a dollar, with a fifth decimal only where it is needed.
fn half(double: u32) -> String {
    let whole = double / 2;
    let rest = if double.is_multiple_of(2) { "" } else { "5" };
    format!("{}.{:04}{rest}", whole / 10_000, whole % 10_000)
}

/// Ten-thousandths of a dollar, which may be below zero while a book is crossed.
fn dollars(units: i32) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    format!("{sign}{}.{:04}", units / 10_000, units % 10_000)
}

/// Bids on the left, offers of YES on the right, the best in the first line.
fn ladder(out: &mut impl Write, found: &MarketBook, depth: usize) -> Result<(), Failure> {
    let cumulated = |side, price: fn(Price) -> Price| {
        let mut sum = Size::ZERO;
        let rows = found.book.levels(side).take(depth).map(move |(level, size)| {
            sum += size;
            [sum.to_string(), size.to_string(), price(level).to_string()]
        });
        rows.collect::<Vec<_>>()
    };
    let bids = cumulated(Side::Yes, |price| price);
    let asks = cumulated(Side::No, Price::complement);
    let header = ["total", "bid size", "yes bid", "yes ask", "ask size", "total", "no bid"];
    let blank = [const { String::new() }; 3];
    let rows = (0..bids.len().max(asks.len())).map(|line| {
        let [total, size, bid] = bids.get(line).unwrap_or(&blank).clone();
        let [ask_total, ask_size, ask] = asks.get(line).unwrap_or(&blank).clone();
        let no = ask.parse::<Price>().map_or(String::new(), |ask| ask.complement().to_string());
        vec![total, size, bid, ask, ask_size, ask_total, no]
    });
    writeln!(out, "{} at {}", found.ticker, Nanos(found.at_ns))?;
    writeln!(out, "{}", table::whole(header.map(str::to_owned).into(), rows.collect()))?;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    writeln!(
        out,
        "mid {}  spread {}  levels {} yes, {} no",
        or_none(found.book.double_mid_units().map(half)),
        or_none(found.book.spread_units().map(dollars)),
        found.book.depth(Side::Yes),
        found.book.depth(Side::No),
    )?;
    let sid = found.sid.map_or_else(String::new, |sid| format!(" sid {sid}"));
    writeln!(out, "session {} conn {}{sid} seq {}", found.session, found.conn, found.seq)?;
    match &found.status {
        Status::Stale { since, reason } => {
            writeln!(out, "status stale: known to be right until {since}, then {reason}")?;
        }
        Status::Ok | Status::Empty => writeln!(out, "status {}", found.status.as_str())?,
    }
    Ok(())
}
