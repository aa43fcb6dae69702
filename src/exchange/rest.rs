//! The few REST answers a recorder needs, from the same markets as the stream.

use super::{market::Market, wire, world::World};
use crate::protocol::{Price, Side};

const ROOT: &str = "/trade-api/v2";
const DAY_US: i64 = 86_400_000_000;

/// Answers a GET: a status and a JSON body.
pub(super) fn answer(world: &mut World, path: &str, query: &str) -> (u16, String) {
    let Some(path) = path.strip_prefix(ROOT) else { return not_found() };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["exchange", "status"] => {
            (200, r#"{"exchange_active":true,"trading_active":true}"#.to_owned())
        }
        ["markets"] => (200, markets(world, query)),
        ["markets", ticker] => {
            let market =
                known(world, ticker).map(|market| format!(r#"{{"market":{}}}"#, full(market)));
            market.map_or_else(not_found, |body| (200, body))
        }
        ["markets", ticker, "orderbook"] => {
            let book = known(world, ticker).map(|market| orderbook(market, depth(query)));
            book.map_or_else(not_found, |body| (200, body))
        }
        _ => not_found(),
    }
}

/// The markets asked for by `tickers`; without it, those that anybody has asked for.
fn markets(world: &mut World, query: &str) -> String {
    let wanted = parameter(query, "tickers").map(|tickers| tickers.replace("%2C", ","));
    let texts: Vec<String> = match wanted {
        Some(tickers) => {
            let tickers = tickers.split(',').filter(|ticker| !ticker.is_empty());
            tickers.filter_map(|ticker| known(world, ticker).map(full)).collect()
        }
        None => world.markets().iter().filter(|market| market.is_known()).map(full).collect(),
    };
    format!(r#"{{"markets":[{}],"cursor":""}}"#, texts.join(","))
}

fn orderbook(market: &Market, depth: Option<usize>) -> String {
    let book = market.book();
    let side = |key: &str, levels: &[_]| {
        let best = levels.get(..depth.unwrap_or(usize::MAX).min(levels.len())).unwrap_or(levels);
        // Best last, as the exchange prints them.
        format!(r#""{key}":{}"#, wire::levels(best.iter().rev().copied()))
    };
    let (no, yes) = (side("no_dollars", &book.no), side("yes_dollars", &book.yes));
    format!(r#"{{"orderbook_fp":{{{no},{yes}}}}}"#)
}

fn full(market: &Market) -> String {
    let quote = market.quote();
    let zero = Price::DOLLAR.complement();
    let (bid, ask) = (quote.yes_bid.unwrap_or(zero), quote.yes_ask.unwrap_or(Price::DOLLAR));
    let last = quote.last_trade.map_or(zero, |(price, _)| price);
    let price = wire::price;
    let opened_us = market.opened_us();
    let (status, result) = match (market.is_open(), market.result()) {
        (true, _) => ("active", ""),
        (false, Side::Yes) => ("closed", "yes"),
        (false, Side::No) => ("closed", "no"),
    };
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let fields = [
        ("ticker", market.quoted_ticker().to_owned()),
        ("event_ticker", text(wire::event_ticker(market.ticker()))),
        ("market_type", text("binary")),
        ("title", market.quoted_ticker().to_owned()),
        ("yes_sub_title", text("Yes")),
        ("no_sub_title", text("No")),
        ("created_time", text(&wire::time(opened_us).to_string())),
        ("updated_time", text(&wire::time(opened_us).to_string())),
        ("open_time", text(&wire::time(opened_us).to_string())),
        ("close_time", text(&wire::time(opened_us + DAY_US).to_string())),
        ("latest_expiration_time", text(&wire::time(opened_us + DAY_US).to_string())),
        ("settlement_timer_seconds", "60".to_owned()),
        ("status", text(status)),
        ("yes_bid_dollars", price(bid)),
        ("yes_bid_size_fp", wire::size(quote.yes_bid_size)),
        ("yes_ask_dollars", price(ask)),
        ("yes_ask_size_fp", wire::size(quote.yes_ask_size)),
        ("no_bid_dollars", price(ask.complement())),
        ("no_ask_dollars", price(bid.complement())),
        ("last_price_dollars", price(last)),
        ("volume_fp", wire::size(quote.volume)),
        ("volume_24h_fp", wire::size(quote.volume)),
        ("open_interest_fp", wire::size(quote.open_interest)),
        ("notional_value_dollars", price(Price::DOLLAR)),
        ("result", text(result)),
        ("can_close_early", "true".to_owned()),
        ("expiration_value", text("")),
        ("rules_primary", text("Made up.")),
        ("rules_secondary", text("")),
        ("price_level_structure", text(market.grid().label())),
        ("price_ranges", wire::price_ranges(market.grid())),
        ("exchange_index", "0".to_owned()),
    ];
    let fields = fields.map(|(key, value)| format!(r#""{key}":{value}"#));
    format!("{{{}}}", fields.join(","))
}

fn known<'a>(world: &'a mut World, ticker: &str) -> Option<&'a Market> {
    let index = world.open(ticker);
    world.market(index).filter(|market| market.is_known())
}

fn depth(query: &str) -> Option<usize> {
    parameter(query, "depth")?.parse().ok().filter(|depth| *depth > 0)
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|p| p.1)
}

fn not_found() -> (u16, String) {
    (404, r#"{"error":{"code":"not_found","message":"not found"}}"#.to_owned())
}
