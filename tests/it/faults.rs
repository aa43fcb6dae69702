//! Recording when things go wrong: what the tape says afterwards.

use std::time::Duration;

use kalshi_orderbook::{
    exchange::ExchangeConfig,
    ingestor::{Error, Ingestor},
    protocol::Credentials,
};

use crate::stage::Stage;

async fn with(faults: &[&str]) -> Stage {
    let faults = faults.iter().map(|spec| spec.parse().unwrap()).collect();
    let exchange = ExchangeConfig { rate: 2_000, faults, ..ExchangeConfig::default() };
    Stage::of(exchange).await.tickers(5)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_frame_is_declared_and_the_books_are_asked_for_again() {
    let stage = with(&["drop@conn=1,sid=1,seq=50"]).await;
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
    let stage = with(&["repeat@conn=1,sid=1,seq=50"]).await;
    let summary = stage.record_until(|tape| tape.has("Repeat")).await;
    assert_eq!((summary.gaps, summary.repeats), (0, 1));
    assert!(stage.tape().has("Repeat { sid: 1, expected: 51, got: 50 }"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_made_again_with_everything_subscribed() {
    let stage = with(&["cut@conn=1,frame=100"]).await;
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
    for refusal in ["refuse=429@attempt=1-3", "refuse=502@attempt=1-3"] {
        let stage = with(&[refusal]).await;
        let summary = stage.record_until(|tape| tape.frames.len() > 10).await;
        assert_eq!((summary.connections, summary.losses), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_stops_everything_with_the_reason() {
    let stage = with(&[]).await;
    let pem = stage.exchange.private_key_pem().unwrap();
    let unknown = Credentials::new("00000000-0000-0000-0000-000000000000", pem).unwrap();
    let other = with(&[]).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_at_first_is_not_tried_again() {
    for status in [401, 403] {
        let stage = with(&[&format!("refuse={status}@attempt=1")]).await;
        let error = stage.record(std::future::pending()).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { status: s, .. } if *s == status), "{error}");
        assert_eq!(stage.exchange.attempts(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_worked_is_tried_twenty_times_and_no_more() {
    let mut stage = with(&["cut@conn=1,frame=100", "refuse=401@attempt=2-1000"]).await;
    stage.config.limits.backoff_cap = Duration::from_millis(20);
    let error = stage.record(std::future::pending()).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { status: 401, .. }), "{error}");
    assert_eq!(stage.exchange.attempts(), 21);
    assert_eq!(stage.tape().count("NotConnected"), 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_named_with_its_direction() {
    for (skew, direction) in [("30s", "behind"), ("-30s", "ahead of")] {
        let stage = with(&[&format!("clock={skew}@after=0s")]).await;
        // The exchange's clock is off from its first tick on.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = stage.record(std::future::pending()).await.unwrap_err();
        let hint = error.hint().unwrap();
        let (_, rest) = hint.split_once("about ").unwrap();
        let (seconds, rest) = rest.split_once(" s ").unwrap();
        assert!(rest.starts_with(&format!("{direction} the exchange's")), "{hint}");
        // However long a busy machine takes over the answer.
        let seconds: u64 = seconds.parse().unwrap();
        assert!((20..=40).contains(&seconds), "{hint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_access_ends_with_the_exchanges_words() {
    let stage = with(&["error=9@conn=1,command=1"]).await;
    let error = stage.record(std::future::pending()).await.unwrap_err();
    assert!(matches!(error, Error::SessionRefused { .. }), "{error:?}");
    let words =
        "the exchange refused the session: error 9 of the exchange: Authentication required";
    assert_eq!(error.to_string(), words);
    assert!(error.hint().is_some());
    let tape = stage.tape();
    assert!(tape.has("Disconnected") && tape.has("Closed"), "{:?}", tape.events);
}

/// A connection that opens proves nothing: the waits grow all the same.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_last_are_not_tried_in_a_storm() {
    let mut stage = with(&["cut@conn=1-100000,frame=1"]).await;
    stage.config.limits.backoff_first = Duration::from_millis(50);
    stage.config.limits.backoff_cap = Duration::from_secs(1);
    let summary = stage.record(tokio::time::sleep(Duration::from_secs(3))).await.unwrap();
    assert!((3..=30).contains(&summary.connections), "{} connections", summary.connections);
    assert_eq!(stage.tape().count("Connected") as u64, summary.connections);
}

/// The socket is full of what nobody reads; the recorder's commands and goodbye find no room.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_an_exchange_that_is_deaf() {
    let stage = with(&["deafen@conn=1,after=300ms"]).await;
    let stopped = std::time::Instant::now();
    stage.record(tokio::time::sleep(Duration::from_millis(600))).await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    assert!(stage.tape().has("Closed"));
}
