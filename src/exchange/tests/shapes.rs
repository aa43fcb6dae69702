//! Every message has the keys and types of its documented form, no more and no fewer.
//!
//! The examples are made up, in the shapes that the protocol study quotes from the wire.

use serde_json::Value;

use crate::exchange::event::{Fill, Kind, Quote};
use crate::exchange::market::Market;
use crate::exchange::truth::BookImage;
use crate::exchange::wire::{self, NoLeg, Stamp};
use crate::protocol::{Price, Side, Size};

const TS_US: i64 = 1_795_200_000_100_000;
const STAMP: Stamp = Stamp { sid: 1, seq: Some(7), sent_ms: 1_795_200_000_104 };

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn size(text: &str) -> Size {
    text.parse().unwrap()
}

fn market() -> Market {
    Market::new(1, "KXTEST-26NOV20-T1", 0, TS_US)
}

fn book() -> BookImage {
    BookImage {
        ticker: "KXTEST-26NOV20-T1".to_owned(),
        yes: vec![(price("0.4700"), size("3.00")), (price("0.4600"), size("1.55"))],
        no: vec![(price("0.5200"), size("300.00")), (price("0.0005"), size("2.25"))],
    }
}

/// The value with every leaf replaced by its type.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), shape(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(shape).collect()),
        Value::String(text) if text.parse::<Price>().is_ok() || text.parse::<Size>().is_ok() => {
            let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            Value::from(format!("{decimals} decimals"))
        }
        Value::String(_) => "text".into(),
        Value::Number(number) => if number.is_i64() { "integer" } else { "number" }.into(),
        Value::Bool(_) => "bool".into(),
        Value::Null => Value::Null,
    }
}

fn assert_shape(text: &str, example: &str) {
    assert!(text.ends_with('\n') && !text.trim_end().contains('\n'), "{text}");
    let [text, example] = [text, example].map(|text| serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(shape(&text), shape(&example));
}

#[test]
fn data_messages_look_like_the_real_ones() {
    let market = market();
    let change = (Side::No, price("0.4800"), size("-54.00"));
    assert_shape(
        &wire::delta(STAMP, &market, change, TS_US, NoLeg::Own),
        r#"{"type":"orderbook_delta","sid":1,"seq":32,"msg":{"market_ticker":"KXTEST-26NOV20-T1",
        "market_id":"00000000-0000-4000-8000-000000000004","price_dollars":"0.0010",
        "delta_fp":"-2.25","side":"no","ts":"2026-11-20T12:00:00.1Z","ts_ms":1795200000100},
        "sending_ts_ms":1795200000104}"#,
    );
    assert_shape(
        &wire::snapshot(None, STAMP, &market, &book(), NoLeg::Own),
        r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"KX","market_id":"f5",
        "yes_dollars_fp":[["0.4600","1.00"],["0.4700","3.00"]],
        "no_dollars_fp":[["0.4700","1.00"],["0.4800","2.00"]]},"sending_ts_ms":1}"#,
    );
    let one_sided = BookImage { yes: Vec::new(), ..book() };
    assert_shape(
        &wire::snapshot(Some(9), STAMP, &market, &one_sided, NoLeg::Own),
        r#"{"type":"orderbook_snapshot","id":9,"sid":1,"seq":31,"msg":{"market_ticker":"KX",
        "market_id":"f5","no_dollars_fp":[["0.0005","100.00"],["0.0010","2.25"]]},
        "sending_ts_ms":1}"#,
    );
    let quote = Quote {
        yes_bid: None,
        yes_bid_size: Size::ZERO,
        yes_ask: Some(price("0.0100")),
        yes_ask_size: size("78.00"),
        last_trade: Some((price("0.0100"), size("0.09"))),
        volume: size("759.86"),
        open_interest: size("666.18"),
    };
    let ticker = wire::ticker(Stamp { seq: None, ..STAMP }, &market, &quote, TS_US);
    assert_shape(
        &ticker,
        r#"{"type":"ticker","sid":6,"msg":{"market_id":"00000000-0000-4000-8000-000000000002",
        "market_ticker":"KXTEST-26SEP21-T1","price_dollars":"0.0100","yes_bid_dollars":"0.0000",
        "yes_ask_dollars":"0.0100","volume_fp":"759.86","open_interest_fp":"666.18",
        "dollar_volume":379,"dollar_open_interest":333,"yes_bid_size_fp":"0.00",
        "yes_ask_size_fp":"78.00","last_trade_size_fp":"0.09","ts":1789966800,
        "ts_ms":1789966800000,"time":"2026-09-21T05:00:00Z"},"sending_ts_ms":1}"#,
    );
    assert!(ticker.contains(r#""yes_bid_dollars":"0.0000""#) && ticker.contains(r#":"759.86""#));
    let fill = Fill {
        trade_id: "00000000-0000-4000-8000-000000000003".to_owned(),
        yes_price: price("0.3650"),
        size: size("1.55"),
        taker: Side::No,
    };
    let trade = wire::trade(STAMP, &market, &fill, TS_US);
    assert_shape(
        &trade,
        r#"{"type":"trade","sid":2,"seq":7,"msg":{"trade_id":"00000000-0000-4000-8000-000000000003",
        "market_ticker":"KXTEST-26NOV20-T1","yes_price_dollars":"0.3650",
        "no_price_dollars":"0.6350","count_fp":"1.55","taker_side":"no","taker_outcome_side":"no",
        "taker_book_side":"ask","is_block_trade":false,"ts":1795200000,"ts_ms":1795200000123},
        "sending_ts_ms":1}"#,
    );
    assert!(trade.contains(r#""no_price_dollars":"0.6350""#) && trade.contains(r#"side":"ask""#));
}

#[test]
fn lifecycle_messages_look_like_the_real_ones() {
    let market = market();
    let of = |kind| wire::lifecycle(STAMP, &market, &kind, TS_US).unwrap();
    assert_shape(
        &of(Kind::Determined(Side::No)),
        r#"{"type":"market_lifecycle_v2","sid":1,"seq":279597,"msg":{"market_ticker":"KX-1",
        "determination_ts":1784501722,"result":"no","settlement_value":"0.0000",
        "event_type":"determined"},"sending_ts_ms":1}"#,
    );
    assert_shape(
        &of(Kind::Settled),
        r#"{"type":"market_lifecycle_v2","sid":1,"seq":12,"msg":{"market_ticker":"KXTEST-26NOV20-T1",
        "settled_ts":1795200000,"event_type":"settled"},"sending_ts_ms":1}"#,
    );
    let created: Value = serde_json::from_str(&of(Kind::Created)).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut expected = vec![
        "market_ticker",
        "event_type",
        "open_ts",
        "close_ts",
        "exchange_index",
        "price_level_structure",
        "price_ranges",
        "additional_metadata",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&created["msg"]), expected);
    assert_eq!(created["msg"]["additional_metadata"]["event_ticker"], "KXTEST-26NOV20");
    assert!(wire::lifecycle(STAMP, &market, &Kind::Resent, TS_US).is_none());
}

#[test]
fn replies_look_like_the_real_ones() {
    let rows = [
        (
            wire::subscribed(Some(1), "orderbook_delta", 1),
            r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}"#,
        ),
        (
            wire::ok(Some(5), STAMP, Some(&["\"M-1\"", "\"M-2\""])),
            r#"{"type":"ok","id":5,"sid":1,"seq":7,"msg":{"market_tickers":["M-1","M-2"]}}"#,
        ),
        (wire::ok(Some(5), STAMP, None), r#"{"type":"ok","id":5,"sid":1,"seq":7,"msg":{}}"#),
        (
            wire::unsubscribed(Some(102), 2, Some(7)),
            r#"{"id":102,"sid":2,"seq":7,"type":"unsubscribed"}"#,
        ),
        (
            wire::listed(Some(3), [("orderbook_delta", 1), ("ticker", 2)].into_iter()),
            r#"{"id":3,"type":"ok","msg":[{"channel":"orderbook_delta","sid":1},{"channel":"ticker","sid":2}]}"#,
        ),
        (
            wire::error(Some(3), None, 8),
            r#"{"type":"error","id":3,"msg":{"code":8,"msg":"Unknown channel name"}}"#,
        ),
        (
            wire::error(None, Some(STAMP), 13),
            r#"{"type":"error","sid":1,"seq":7,"msg":{"code":13,"msg":"Unsupported action"}}"#,
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(text, format!("{expected}\n"));
    }
}

#[test]
fn levels_climb_and_no_prices_turn_only_on_request() {
    let market = market();
    let levels = |no_leg| {
        let text = wire::snapshot(None, STAMP, &market, &book(), no_leg);
        let frame: Value = serde_json::from_str(&text).unwrap();
        (frame["msg"]["yes_dollars_fp"].to_string(), frame["msg"]["no_dollars_fp"].to_string())
    };
    let yes = r#"[["0.4600","1.55"],["0.4700","3.00"]]"#.to_owned();
    let own = r#"[["0.0005","2.25"],["0.5200","300.00"]]"#.to_owned();
    let turned = r#"[["0.4800","300.00"],["0.9995","2.25"]]"#.to_owned();
    assert_eq!(levels(NoLeg::Own), (yes.clone(), own));
    assert_eq!(levels(NoLeg::AsYes), (yes, turned));
    for (side, no_leg, expected) in [
        (Side::No, NoLeg::Own, r#""price_dollars":"0.5200""#),
        (Side::No, NoLeg::AsYes, r#""price_dollars":"0.4800""#),
        (Side::Yes, NoLeg::AsYes, r#""price_dollars":"0.5200""#),
    ] {
        let change = (side, price("0.5200"), size("1.00"));
        assert!(wire::delta(STAMP, &market, change, TS_US, no_leg).contains(expected));
    }
}

#[test]
fn times_lose_their_trailing_zeros() {
    assert_eq!(wire::time(TS_US).to_string(), "2026-11-20T18:40:00.1Z");
    assert_eq!(wire::time(1_795_200_000_000_000).to_string(), "2026-11-20T18:40:00Z");
    assert_eq!(wire::time(1_795_200_000_012_345).to_string(), "2026-11-20T18:40:00.012345Z");
}

#[test]
fn ids_are_uuids_of_the_ticker_and_odd_tickers_stay_json() {
    let id = market().id().to_owned();
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!(id.as_bytes()[14], b'4');
    let odd = Market::new(1, "A\"B\\", 0, TS_US);
    let change = (Side::Yes, price("0.5000"), size("1.00"));
    let text = wire::delta(STAMP, &odd, change, TS_US, NoLeg::Own);
    let frame: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(frame["msg"]["market_ticker"], "A\"B\\");
}
