//! The text of every message the exchange sends, as of October 2026.
//!
//! Written here by hand rather than with the library's own message types: a wrong field name
//! must not be wrong on both sides. Each text ends with a newline, as on the wire.

use std::fmt::{Arguments, Write};

use super::{
    event::{Fill, Kind, Quote},
    grid::Grid,
    market::Market,
    truth::BookImage,
};
use crate::protocol::{Price, Side, Size};

/// What every message of a subscription carries besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The subscription.
    pub(super) sid: u64,
    /// The number within the subscription, on channels that count.
    pub(super) seq: Option<u64>,
    /// When the message was queued, ms since the epoch.
    pub(super) sent_ms: i64,
}

/// Answers a subscribe command, once a channel.
#[must_use]
pub(super) fn subscribed(id: Option<i64>, channel: &str, sid: u64) -> String {
    let mut out = open("subscribed", id);
    put(&mut out, format_args!(r#","msg":{{"channel":"{channel}","sid":{sid}}}}}"#));
    ended(out)
}

/// Answers a command that changed a subscription; `tickers` are JSON strings.
#[must_use]
pub(super) fn ok(id: Option<i64>, stamp: Stamp, tickers: Option<&[&str]>) -> String {
    let mut out = open("ok", id);
    put_position(&mut out, stamp);
    out.push_str(r#","msg":{"#);
    if let Some(tickers) = tickers {
        put(&mut out, format_args!(r#""market_tickers":[{}]"#, tickers.join(",")));
    }
    out.push_str("}}");
    ended(out)
}

/// Answers `list_subscriptions`.
#[must_use]
pub(super) fn listed<'a>(
    id: Option<i64>,
    open_ones: impl Iterator<Item = (&'a str, u64)>,
) -> String {
    let mut out = String::from("{");
    put_id(&mut out, id);
    out.push_str(r#""type":"ok","msg":["#);
    for (n, (channel, sid)) in open_ones.enumerate() {
        let comma = if n == 0 { "" } else { "," };
        put(&mut out, format_args!(r#"{comma}{{"channel":"{channel}","sid":{sid}}}"#));
    }
    out.push_str("]}");
    ended(out)
}

/// Answers an unsubscribe command, once a subscription.
#[must_use]
pub(super) fn unsubscribed(id: Option<i64>, sid: u64, seq: Option<u64>) -> String {
    let mut out = String::from("{");
    put_id(&mut out, id);
    put(&mut out, format_args!(r#""sid":{sid},"#));
    if let Some(seq) = seq {
        put(&mut out, format_args!(r#""seq":{seq},"#));
    }
    out.push_str(r#""type":"unsubscribed"}"#);
    ended(out)
}

/// Refuses a command, or tells of a dead subscription when it has a stamp.
#[must_use]
pub(super) fn error(id: Option<i64>, stamp: Option<Stamp>, code: u16) -> String {
    let mut out = open("error", id);
    if let Some(stamp) = stamp {
        put_position(&mut out, stamp);
    }
    let text = error_text(code);
    put(&mut out, format_args!(r#","msg":{{"code":{code},"msg":"{text}"}}}}"#));
    ended(out)
}

/// A market's whole book. `id` is that of the `get_snapshot` command it answers.
#[must_use]
pub(super) fn snapshot(
    id: Option<i64>,
    stamp: Stamp,
    market: &Market,
    book: &BookImage,
    no_leg: NoLeg,
) -> String {
    let mut out = open("orderbook_snapshot", id);
    put_position(&mut out, stamp);
    put_market(&mut out, market);
    put_levels(&mut out, "yes_dollars_fp", book.yes.iter().rev().copied());
    match no_leg {
        NoLeg::Own => put_levels(&mut out, "no_dollars_fp", book.no.iter().rev().copied()),
        NoLeg::AsYes => {
            let levels = book.no.iter().map(|&(price, size)| (price.complement(), size));
            put_levels(&mut out, "no_dollars_fp", levels);
        }
    }
    sent(out, stamp)
}

/// How NO prices are printed, by the `use_yes_price` of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLeg {
    /// In no-leg dollars.
    Own,
    /// In yes-leg dollars, one minus the price.
    AsYes,
}

/// A change of the size at one price.
#[must_use]
pub(super) fn delta(
    stamp: Stamp,
    market: &Market,
    (side, price, change): (Side, Price, Size),
    ts_us: i64,
    no_leg: NoLeg,
) -> String {
    let mut out = open("orderbook_delta", None);
    put_position(&mut out, stamp);
    put_market(&mut out, market);
    let price = match (side, no_leg) {
        (Side::No, NoLeg::AsYes) => price.complement(),
        _ => price,
    };
    out.push_str(r#","price_dollars":"#);
    put_price(&mut out, price);
    out.push_str(r#","delta_fp":"#);
    put_size(&mut out, change);
    let side = word(side);
    put(&mut out, format_args!(r#","side":"{side}","ts":"{}","#, time(ts_us)));
    put(&mut out, format_args!(r#""ts_ms":{}"#, ts_us / 1_000));
    sent(out, stamp)
}

/// A market's summary.
#[must_use]
pub(super) fn ticker(stamp: Stamp, market: &Market, quote: &Quote, ts_us: i64) -> String {
    let zero = Price::DOLLAR.complement();
    let (price, last_size) = quote.last_trade.unwrap_or((zero, Size::ZERO));
    let mut out = open("ticker", None);
    put_position(&mut out, stamp);
    // On this channel the id comes first.
    put(&mut out, format_args!(r#","msg":{{"market_id":"{}","#, market.id()));
    put(&mut out, format_args!(r#""market_ticker":{}"#, market.quoted_ticker()));
    for (key, price) in [
        ("price_dollars", price),
        ("yes_bid_dollars", quote.yes_bid.unwrap_or(zero)),
        ("yes_ask_dollars", quote.yes_ask.unwrap_or(Price::DOLLAR)),
    ] {
        put(&mut out, format_args!(r#","{key}":"#));
        put_price(&mut out, price);
    }
    for (key, size) in [
        ("volume_fp", quote.volume),
        ("open_interest_fp", quote.open_interest),
        ("yes_bid_size_fp", quote.yes_bid_size),
        ("yes_ask_size_fp", quote.yes_ask_size),
        ("last_trade_size_fp", last_size),
    ] {
        put(&mut out, format_args!(r#","{key}":"#));
        put_size(&mut out, size);
    }
    // Half a dollar a contract: what the real exchange's whole-dollar fields come to.
    let (volume, interest) = (quote.volume.units() / 200, quote.open_interest.units() / 200);
    put(&mut out, format_args!(r#","dollar_volume":{volume},"dollar_open_interest":{interest}"#));
    let (s, ms) = (ts_us / 1_000_000, ts_us / 1_000);
    put(&mut out, format_args!(r#","ts":{s},"ts_ms":{ms},"time":"{}""#, time(ts_us)));
    sent(out, stamp)
}

/// A public trade.
#[must_use]
pub(super) fn trade(stamp: Stamp, market: &Market, fill: &Fill, ts_us: i64) -> String {
    let mut out = open("trade", None);
    put_position(&mut out, stamp);
    put(&mut out, format_args!(r#","msg":{{"trade_id":"{}","#, fill.trade_id));
    put(&mut out, format_args!(r#""market_ticker":{}"#, market.quoted_ticker()));
    out.push_str(r#","yes_price_dollars":"#);
    put_price(&mut out, fill.yes_price);
    out.push_str(r#","no_price_dollars":"#);
    put_price(&mut out, fill.yes_price.complement());
    out.push_str(r#","count_fp":"#);
    put_size(&mut out, fill.size);
    let outcome = word(fill.taker);
    let book_side = match fill.taker {
        Side::Yes => "bid",
        Side::No => "ask",
    };
    put(&mut out, format_args!(r#","taker_side":"{outcome}","taker_outcome_side":"{outcome}""#));
    put(&mut out, format_args!(r#","taker_book_side":"{book_side}","is_block_trade":false"#));
    put(&mut out, format_args!(r#","ts":{},"ts_ms":{}"#, ts_us / 1_000_000, ts_us / 1_000));
    sent(out, stamp)
}

/// A step in a market's life; `None` for events that are not one.
#[must_use]
pub(super) fn lifecycle(stamp: Stamp, market: &Market, kind: &Kind, ts_us: i64) -> Option<String> {
    let mut out = open("market_lifecycle_v2", None);
    put_position(&mut out, stamp);
    put(&mut out, format_args!(r#","msg":{{"market_ticker":{}"#, market.quoted_ticker()));
    let ts = ts_us / 1_000_000;
    match kind {
        Kind::Created => put_created(&mut out, market),
        Kind::Determined(result) => {
            let value = match result {
                Side::Yes => "1.0000",
                Side::No => "0.0000",
            };
            let result = word(*result);
            put(&mut out, format_args!(r#","determination_ts":{ts},"result":"{result}""#));
            put(&mut out, format_args!(r#","settlement_value":"{value}","#));
            out.push_str(r#""event_type":"determined""#);
        }
        Kind::Settled => {
            put(&mut out, format_args!(r#","settled_ts":{ts},"event_type":"settled""#));
        }
        Kind::Change { .. } | Kind::Resent | Kind::Trade(_) | Kind::Quote(_) => return None,
    }
    Some(sent(out, stamp))
}

/// A grid's bands as the value of `price_ranges`.
#[must_use]
pub(super) fn price_ranges(grid: Grid) -> String {
    let mut out = String::from("[");
    for (n, band) in grid.bands().iter().enumerate() {
        out.push_str(if n == 0 { "{" } else { ",{" });
        for (key, units) in [("start", band.start), ("end", band.end), ("step", band.step)] {
            let comma = if key == "start" { "" } else { "," };
            put(&mut out, format_args!(r#"{comma}"{key}":"#));
            put_units(&mut out, i64::from(units), 4);
        }
        out.push('}');
    }
    out.push(']');
    out
}

/// One side's levels as a JSON array, lowest price first.
#[must_use]
pub(super) fn levels(levels: impl Iterator<Item = (Price, Size)>) -> String {
    let mut out = String::new();
    put_array(&mut out, levels);
    out
}

/// A price as a JSON string.
#[must_use]
pub(super) fn price(price: Price) -> String {
    let mut out = String::new();
    put_price(&mut out, price);
    out
}

/// A size as a JSON string.
#[must_use]
pub(super) fn size(size: Size) -> String {
    let mut out = String::new();
    put_size(&mut out, size);
    out
}

/// RFC 3339 in UTC, microseconds, trailing zeros trimmed.
#[must_use]
pub(super) fn time(ts_us: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(ts_us).unwrap_or_default()
}

fn put_created(out: &mut String, market: &Market) {
    let grid = market.grid();
    let open_s = market.opened_us() / 1_000_000;
    put(out, format_args!(r#","open_ts":{open_s},"close_ts":{},"#, open_s + 86_400));
    put(out, format_args!(r#""exchange_index":0,"price_level_structure":"{}","#, grid.label()));
    put(out, format_args!(r#""price_ranges":{},"#, price_ranges(grid)));
    let event = serde_json::Value::from(event_ticker(market.ticker()));
    put(out, format_args!(r#""additional_metadata":{{"name":{},"#, market.quoted_ticker()));
    put(out, format_args!(r#""title":{},"yes_sub_title":"Yes","#, market.quoted_ticker()));
    out.push_str(r#""no_sub_title":"No","rules_primary":"Made up.","rules_secondary":"","#);
    put(out, format_args!(r#""can_close_early":true,"event_ticker":{event},"#));
    put(out, format_args!(r#""expected_expiration_ts":{}}},"#, open_s + 86_400));
    out.push_str(r#""event_type":"created""#);
}

/// The event's ticker by the exchange's habit: all but the last part.
#[must_use]
pub(super) fn event_ticker(ticker: &str) -> &str {
    match ticker.rsplit_once('-') {
        Some((event, _)) if event.contains('-') => event,
        _ => ticker,
    }
}

fn put_market(out: &mut String, market: &Market) {
    let (ticker, id) = (market.quoted_ticker(), market.id());
    put(out, format_args!(r#","msg":{{"market_ticker":{ticker},"market_id":"{id}""#));
}

fn put_levels(out: &mut String, key: &str, levels: impl ExactSizeIterator<Item = (Price, Size)>) {
    // An empty side's key is absent.
    if levels.len() > 0 {
        put(out, format_args!(r#","{key}":"#));
        put_array(out, levels);
    }
}

fn put_array(out: &mut String, levels: impl Iterator<Item = (Price, Size)>) {
    out.push('[');
    for (n, (price, size)) in levels.enumerate() {
        out.push_str(if n == 0 { "[" } else { ",[" });
        put_price(out, price);
        out.push(',');
        put_size(out, size);
        out.push(']');
    }
    out.push(']');
}

fn put_price(out: &mut String, price: Price) {
    put_units(out, i64::from(price.units()), 4);
}

fn put_size(out: &mut String, size: Size) {
    put_units(out, size.units(), 2);
}

fn put_units(out: &mut String, units: i64, places: usize) {
    let sign = if units < 0 { "-" } else { "" };
    let scale = if places == 4 { 10_000 } else { 100 };
    let (whole, part) = (units.unsigned_abs() / scale, units.unsigned_abs() % scale);
    put(out, format_args!(r#""{sign}{whole}.{part:0places$}""#));
}

fn open(kind: &str, id: Option<i64>) -> String {
    let mut out = String::with_capacity(320);
    put(&mut out, format_args!(r#"{{"type":"{kind}""#));
    if let Some(id) = id {
        put(&mut out, format_args!(r#","id":{id}"#));
    }
    out
}

fn put_id(out: &mut String, id: Option<i64>) {
    if let Some(id) = id {
        put(out, format_args!(r#""id":{id},"#));
    }
}

fn put_position(out: &mut String, stamp: Stamp) {
    put(out, format_args!(r#","sid":{}"#, stamp.sid));
    if let Some(seq) = stamp.seq {
        put(out, format_args!(r#","seq":{seq}"#));
    }
}

/// Closes `msg` and the message.
fn sent(mut out: String, stamp: Stamp) -> String {
    put(&mut out, format_args!(r#"}},"sending_ts_ms":{}}}"#, stamp.sent_ms));
    ended(out)
}

fn ended(mut out: String) -> String {
    out.push('\n');
    out
}

fn put(out: &mut String, text: Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = out.write_fmt(text);
}

const fn word(side: Side) -> &'static str {
    match side {
        Side::Yes => "yes",
        Side::No => "no",
    }
}

const fn error_text(code: u16) -> &'static str {
    match code {
        1 => "Unable to process message",
        2 => "Params required",
        3 => "Channels required",
        4 => "Subscription IDs required",
        5 => "Unknown command",
        7 => "Unknown subscription ID",
        8 => "Unknown channel name",
        9 => "Authentication required",
        10 => "Channel error",
        11 => "Invalid parameter",
        12 => "Exactly one subscription ID is required",
        13 => "Unsupported action",
        14 => "Market Ticker required",
        15 => "Action required",
        17 => "Internal error",
        18 => "Command timeout",
        25 => "Subscription buffer overflow",
        26 => "Subscription market limit exceeded",
        27 => "Too many requests",
        _ => "Unheard of",
    }
}
