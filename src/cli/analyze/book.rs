//! `kalshi analyze book`.

use std::{io::Write, num::NonZero, process::ExitCode};

use kalshi_orderbook::{
    analysis::{Analyzer, MarketBook, Nanos, Status},
    book::Level,
    protocol::{Price, Side, Size},
};
use serde::Serialize;

use super::{Common, Failure, output};
use crate::cli::{common::Format, time};

/// Print the order book of a market at an instant
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kalshi analyze book KXBTC15M-26MAY110145-45
  kalshi analyze book KXBTC15M-26MAY110145-45 --at 2026-05-11T05:40:00Z --depth 10
  kalshi analyze book KXBTC15M-26MAY110145-45 --at now-15m --format json

Bids of both sides are in their own side's dollars: a NO bid at 0.48 offers YES at 0.52.
The status is `ok` where the book is known to be right, `empty` where it is and nothing rests in
it, and `stale` in a hole: the book printed is then the last one that was right. The CSV has the
status in each row, and an empty book as one row without side, price and size.

A time without a zone is UTC.")]
pub(crate) struct Args {
    /// The market
    ticker: String,
    /// The instant: 2026-05-11T05:40:00Z, a date, integer ns since 1970, or now-15m [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = time::instant, conflicts_with = "seq")]
    at: Option<i64>,
    /// After the frame of this number of its subscription
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    seq: Option<i64>,
    /// Levels a side [default: all]
    #[arg(long, value_name = "N")]
    depth: Option<NonZero<usize>>,
}

pub(crate) fn run(common: &Common, analyzer: &Analyzer, args: &Args) -> Result<ExitCode, Failure> {
    let book = match (args.at, args.seq) {
        (Some(at), _) => analyzer.reconstruct_book_at(&args.ticker, at)?,
        (None, Some(seq)) => analyzer.reconstruct_book_at_seq(&args.ticker, seq)?,
        (None, None) => analyzer.reconstruct_book(&args.ticker)?,
    };
    let depth = args.depth.map_or(usize::MAX, NonZero::get);
    let mut out = output::stdout();
    match common.answer_format() {
        Format::Json => {
            serde_json::to_writer(&mut out, &json(&book, depth)).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Csv => {
            writeln!(out, "side,price,size,status,stale_since")?;
            let since = match &book.status {
                Status::Stale { since, .. } => since.to_string(),
                Status::Ok | Status::Empty => String::new(),
            };
            let status = format!("{},{since}", book.status.as_str());
            if book.book.is_empty() {
                writeln!(out, ",,,{status}")?;
            }
            for side in [Side::Yes, Side::No] {
                for (price, size) in book.book.levels(side).take(depth) {
                    writeln!(out, "{side},{price},{size},{status}")?;
                }
            }
        }
        Format::Table => ladder(&mut out, &book, depth)?,
    }
    out.flush()?;
    if let Status::Stale { since, reason } = &book.status {
        output::warn(common, &format!("the book is stale since {since}: {reason}"));
        if common.strict {
            return Ok(ExitCode::from(3));
        }
    }
    Ok(ExitCode::SUCCESS)
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
    writeln!(out, "{}", output::table(header.map(str::to_owned).into(), rows))?;
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
