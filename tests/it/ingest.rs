//! Recording when nothing goes wrong.

use std::{collections::HashSet, time::Duration};

use kalshi_orderbook::{
    exchange::{ExchangeConfig, KeyKind},
    ingestor::{Compression, Error},
    tape::{Archive, Layout},
};

use crate::stage::{Stage, Tape, until};

/// Frames of every shape that JSON text can have, numbered so that none passes for another.
fn frames(connection: usize, count: usize) -> Vec<String> {
    let shape = |n: usize| match n % 6 {
        0 => {
            format!(r#"{{"type":"orderbook_delta","sid":2,"seq":{n},"msg":{{"c":{connection}}}}}"#)
        }
        1 => format!("{{ \"type\" : \"ticker\",\t\"msg\":{{\"n\":{n},\"c\":{connection}}} }}"),
        2 => {
            format!(r#"{{"msg":{{"text":"a\n\"}}é漢\\","n":{n}}},"type":"new_type_{connection}"}}"#)
        }
        3 => format!("[{n},{connection},null]"),
        4 => format!(
            r#"{{"type":"big","n":{n},"c":{connection},"pad":"{}"}}"#,
            "x".repeat(n % 9_000)
        ),
        _ => format!("\"{connection} {n}\""),
    };
    (0..count).map(shape).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_on_the_tape_byte_for_byte_once_and_in_order() {
    let recording: Vec<_> = (0..3).map(|connection| frames(connection, 4_000)).collect();
    let mut stage = Stage::serving(recording.clone()).await.tickers(3);
    stage.config.connections = Some(3);
    let summary = stage.record_until(|tape| tape.frames.len() == 12_000).await;

    let tape = stage.tape();
    let mut taped: Vec<Vec<&str>> = (1..=3).map(|conn| tape.frames_of(conn)).collect();
    // Which of our connections the exchange saw first is chance.
    taped.sort();
    let mut served: Vec<Vec<&str>> =
        recording.iter().map(|list| list.iter().map(String::as_str).collect()).collect();
    served.sort();
    for (taped, served) in taped.iter().zip(&served) {
        let same = taped.iter().zip(served).take_while(|(taped, served)| taped == served).count();
        assert_eq!((same, taped.len()), (4_000, 4_000), "{:.200?}", taped.get(same));
    }
    assert_eq!((summary.received, summary.written, summary.rejected), (12_000, 12_000, 0));
    for (conn, _) in tape.recv_ns.windows(2).filter(|w| w[0].0 == w[1].0).map(|w| (w[0].0, w)) {
        let times: Vec<_> = tape.recv_ns.iter().filter(|(c, _)| *c == conn).collect();
        assert!(times.is_sorted_by_key(|(_, ns)| ns), "time fell on connection {conn}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_explains_itself() {
    let exchange = ExchangeConfig { rate: 2_000, ..ExchangeConfig::default() };
    let stage = Stage::of(exchange).await.tickers(20);
    let summary = stage.record_until(|tape| tape.frames.len() > 2_000).await;

    assert_eq!(summary.received, summary.written + summary.rejected);
    assert_eq!((summary.gaps, summary.losses, summary.rejected), (0, 0, 0));
    assert_eq!(summary.by_kind.values().sum::<u64>(), summary.received);
    assert_eq!(summary.by_kind["orderbook_snapshot"], 20);
    let tape = stage.tape();
    assert_eq!(tape.frames.len() as u64, summary.received);
    for (event, count) in
        [("Session", 1), ("Connected", 1), ("Sent", 4), ("Disconnected", 1), ("Closed", 1)]
    {
        assert_eq!(tape.count(event), count, "{event}: {:?}", tape.events);
    }
    assert!(
        tape.events.iter().any(|(_, e)| e.contains(r#"\"use_yes_price\":false"#)
            || e.contains(r#""use_yes_price":false"#))
    );
    let layouts: Vec<_> =
        Archive::open(&stage.config.log_dir).unwrap().segments.iter().map(|s| s.layout).collect();
    assert_eq!(layouts, [Layout::Compressed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_turn_over_without_a_seam() {
    let exchange = ExchangeConfig { rate: 20_000, ..ExchangeConfig::default() };
    let mut stage = Stage::of(exchange).await.tickers(5);
    stage.config.segment_bytes = 200_000;
    stage.config.compression = Compression::None;
    let summary = stage.record_until(|tape| tape.frames.len() > 20_000).await;

    assert!(summary.segments > 10, "{} segments", summary.segments);
    let tape = stage.tape();
    assert_eq!(tape.frames.len() as u64, summary.received);
    assert_eq!(tape.count("Session") as u64, summary.segments);
    assert_eq!(tape.count("Closed") as u64, summary.segments);
    assert_eq!(summary.gaps, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rsa_key_is_as_good_as_an_ed25519_one() {
    let exchange = ExchangeConfig { key: KeyKind::Rsa, ..ExchangeConfig::default() };
    let stage = Stage::of(exchange).await.tickers(1);
    let summary = stage.record_until(|tape| !tape.frames.is_empty()).await;
    assert!(summary.received > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_waits_and_loses_nothing() {
    let mut stage = Stage::serving(vec![frames(0, 20_000)]).await;
    stage.config.queue_messages = 8;
    let summary = stage.record_until(|tape| tape.frames.len() == 20_000).await;
    assert_eq!((summary.received, summary.written), (20_000, 20_000));
    assert!(summary.queue_peak <= 8, "{}", summary.queue_peak);
    assert!(stage.tape().has("Stalled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_market_is_named_and_harms_no_other() {
    let mut stage = Stage::of(ExchangeConfig::default()).await.tickers(2);
    stage.config.tickers.push("KXUNKNOWN-1".parse().unwrap());
    let summary = stage.record_until(|tape| tape.frames.len() > 200).await;
    assert_eq!(summary.unknown_markets, ["KXUNKNOWN-1"]);
    assert!(stage.tape().has("UnknownMarket"));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_no_json_are_kept_and_counted() {
    let mut list = frames(0, 100);
    list.push("not json at all".to_owned());
    list.push(r#"{"type":"ticker","msg":"#.to_owned());
    list.push("[".repeat(500));
    let stage = Stage::serving(vec![list]).await;
    let summary = stage.record_until(|tape| tape.count("BadFrame") == 3).await;
    assert_eq!((summary.received, summary.written, summary.rejected), (103, 100, 3));
    let tape = stage.tape();
    assert!(tape.events.iter().any(|(_, event)| event.contains("not json at all")));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_markets_of_many_are_subscribed_in_turn() {
    let stage =
        Stage::of(ExchangeConfig { rate: 100, ..ExchangeConfig::default() }).await.tickers(450);
    let mut stage = stage;
    stage.config.connections = Some(1);
    let summary = stage
        .record_until(|tape| {
            tape.frames.iter().filter(|(_, f)| f.contains("orderbook_snapshot")).count() == 450
        })
        .await;
    assert_eq!(summary.by_kind["orderbook_snapshot"], 450);
    assert_eq!((summary.gaps, summary.losses), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_recorders_in_one_folder_do_not_disturb_each_other() {
    let stage =
        Stage::of(ExchangeConfig { rate: 2_000, ..ExchangeConfig::default() }).await.tickers(5);
    let enough = |tape: &Tape| tape.frames.len() > 4_000;
    let (one, two) = tokio::join!(stage.record_until(enough), stage.record_until(enough));
    assert_ne!(one.session, two.session);
    let tape = stage.tape();
    assert_eq!(tape.frames.len() as u64, one.received + two.received);
    assert_eq!((one.gaps, two.gaps, tape.torn), (0, 0, 0));
}

#[tokio::test]
async fn nothing_to_record_is_an_error() {
    let stage = Stage::of(ExchangeConfig::default()).await;
    let error = stage.record(std::future::pending()).await.unwrap_err();
    assert!(matches!(error, Error::NoTickers) && error.hint().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named_before_anything_is_recorded() {
    let mut stage = Stage::of(ExchangeConfig::default()).await.tickers(1);
    std::fs::write(stage.folder.path().join("file"), "").unwrap();
    stage.config.log_dir = stage.folder.path().join("file/logs");
    let error = stage.record(std::future::pending()).await.unwrap_err();
    let chain = format!("{:#}", anyhow::Error::new(error));
    assert!(chain.starts_with("write the tape: create folder"), "{chain}");
    assert_eq!(stage.exchange.connections_opened(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_never_made_is_an_error_at_the_end() {
    let mut stage = Stage::of(ExchangeConfig::default()).await.tickers(1);
    stage.config.url = "ws://127.0.0.1:1/trade-api/ws/v2".parse().unwrap();
    let error = stage.record(tokio::time::sleep(Duration::from_millis(300))).await.unwrap_err();
    assert!(matches!(&error, Error::NeverConnected { cause: Some(_) }), "{error}");
    until("the folder to be readable", || stage.tape().has("Closed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_account_may_have_fewer_connections_those_take_all_markets() {
    // The first of five is refused, and with it the channel that it has for all of them.
    let faults = vec!["refuse=429@attempt=1".parse().unwrap()];
    let exchange =
        ExchangeConfig { rate: 2_000, connections_max: 2, faults, ..ExchangeConfig::default() };
    let mut stage = Stage::of(exchange).await.tickers(200);
    stage.config.connections = Some(5);
    stage.config.limits.cap = Duration::from_millis(500);
    stage.config.limits.backoff_first = Duration::from_millis(600);
    stage.config.limits.backoff_cap = Duration::from_millis(600);
    stage.config.limits.stagger = Duration::from_millis(10);
    let all_there = |tape: &Tape| {
        let snapshot = |(_, text): &&(u32, String)| text.contains("orderbook_snapshot");
        let snapshots = tape.frames.iter().filter(snapshot);
        let markets: HashSet<&str> = snapshots.filter_map(|(_, text)| market(text)).collect();
        let lifecycle = |(_, text): &(u32, String)| {
            text.contains("subscribed") && text.contains("market_lifecycle_v2")
        };
        markets.len() == 200 && tape.frames.iter().any(lifecycle)
    };
    let summary = stage.record_until(all_there).await;
    assert_eq!((summary.connections, summary.losses), (2, 0));
    assert_eq!(summary.without_book, Vec::<String>::new());
    let tape = stage.tape();
    let given_up = tape.events.iter().filter(|(_, e)| e.contains("; the open connections take"));
    assert_eq!(given_up.count(), 3, "{:?}", tape.events);
    for conn in [1, 2] {
        let plans = tape.events.iter().filter(|(c, e)| *c == Some(conn) && e.starts_with("Plan"));
        assert!(plans.count() >= 2, "neither takes all: {:?}", tape.events);
    }
}

/// After an outage the exchange counts connections that are dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_passing_limit_of_connections_costs_no_connection() {
    let faults = vec!["refuse=429@attempt=2-8".parse().unwrap()];
    let exchange = ExchangeConfig { rate: 2_000, faults, ..ExchangeConfig::default() };
    let mut stage = Stage::of(exchange).await.tickers(2);
    stage.config.connections = Some(2);
    let summary = stage.record_until(|tape| !tape.frames_of(2).is_empty()).await;
    assert_eq!((summary.connections, summary.losses), (2, 0));
    let tape = stage.tape();
    assert_eq!((tape.count("NotConnected"), tape.count("Plan")), (7, 2), "{:?}", tape.events);
}

fn market(snapshot: &str) -> Option<&str> {
    let (_, rest) = snapshot.split_once(r#""market_ticker":""#)?;
    Some(rest.split_once('"')?.0)
}
