//! Recording when things go wrong: what the tape says afterwards.

use kalshi_orderbook::{
    exchange::{ExchangeConfig, Fault},
    ingestor::{Error, Ingestor},
    protocol::Credentials,
};

use crate::stage::Stage;

const BOOKS: u64 = 1;

async fn with(faults: Vec<Fault>) -> Stage {
    let exchange = ExchangeConfig { rate: 2_000, faults, ..ExchangeConfig::default() };
    Stage::of(exchange).await.tickers(5)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_frame_is_declared_and_the_books_are_asked_for_again() {
    let stage = with(vec![Fault::Drop { connection: 1, sid: BOOKS, seq: 50 }]).await;
    let summary = stage.record_until(|tape| tape.has("Repaired")).await;
    assert_eq!((summary.gaps, summary.missing, summary.losses), (1, 1, 0));
    assert!(summary.has_holes());
    let tape = stage.tape();
    assert!(tape.has("Gap { sid: 1, expected: 50, got: 51 }"), "{:?}", tape.events);
    assert!(tape.has("Repaired { sid: 1, markets: 5 }"));
    let asked = stage.exchange.commands().iter().any(|c| c.text.contains("get_snapshot"));
    assert!(asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_frame_is_kept_and_declared() {
    let stage = with(vec![Fault::Repeat { connection: 1, sid: BOOKS, seq: 50 }]).await;
    let summary = stage.record_until(|tape| tape.has("Repeat")).await;
    assert_eq!((summary.gaps, summary.repeats), (0, 1));
    assert!(stage.tape().has("Repeat { sid: 1, expected: 51, got: 50 }"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_made_again_with_everything_subscribed() {
    let stage = with(vec![Fault::Cut { connection: 1, after: 100 }]).await;
    let summary = stage.record_until(|tape| tape.frames_of(2).len() > 100).await;
    assert_eq!((summary.connections, summary.losses, summary.gaps), (2, 1, 0));
    let tape = stage.tape();
    assert_eq!(tape.frames_of(1).len(), 100);
    let snapshots = tape.frames_of(2).iter().filter(|f| f.contains("orderbook_snapshot")).count();
    assert_eq!(snapshots, 5);
    assert_eq!((tape.count("Connected"), tape.count("Disconnected")), (2, 2));
    assert!(summary.has_holes());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_waited_out() {
    for status in [429, 502] {
        let stage = with(vec![Fault::Refuse { first: 3, status }]).await;
        let summary = stage.record_until(|tape| tape.frames.len() > 10).await;
        assert_eq!((summary.connections, summary.losses), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_stops_everything_with_the_reason() {
    let stage = with(Vec::new()).await;
    let pem = stage.exchange.private_key_pem().unwrap();
    let unknown = Credentials::new("00000000-0000-0000-0000-000000000000", pem).unwrap();
    let other = with(Vec::new()).await;
    let wrong =
        Credentials::new(stage.exchange.key_id(), other.exchange.private_key_pem().unwrap());
    for (credentials, reason) in
        [(unknown, "NOT_FOUND"), (wrong.unwrap(), "INCORRECT_API_KEY_SIGNATURE")]
    {
        let run = Ingestor::new(stage.config.clone(), credentials).run(std::future::pending());
        let error = run.await.unwrap_err();
        let Error::Refused { status: 401, reason: found, .. } = &error else { panic!("{error}") };
        assert!(found.contains(reason), "{found}");
        assert!(error.hint().is_some());
    }
}
