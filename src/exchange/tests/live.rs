//! Over real sockets.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Error;

use super::client::{Books, Client, signed};
use crate::exchange::{Exchange, ExchangeConfig, Position, Source, environment, server::now_us};

const SUBSCRIBE: &str = concat!(
    r#"{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta","trade"],"#,
    r#""market_tickers":["KXA-26-T1","KXB-26-T2","KXC-26-T3"]}}"#
);

async fn start(config: ExchangeConfig) -> Exchange {
    Exchange::start(config).await.unwrap()
}

fn recording(frames: &[&str]) -> Source {
    Source::Recording(vec![frames.iter().map(|frame| (*frame).to_owned()).collect()])
}

#[tokio::test]
async fn a_client_holds_the_true_books_at_every_checkpoint() {
    let exchange = start(ExchangeConfig { rate: 20_000, seed: 7, ..Default::default() }).await;
    let mut client = Client::connect(&exchange).await.unwrap();
    client.say(SUBSCRIBE).await;
    let mut books = Books::default();
    for frames in [100_u64, 1_000, 3_000] {
        while books.seqs.values().sum::<u64>() < frames {
            books.apply(&client.hear().await.unwrap());
        }
        let checkpoint = exchange.checkpoint();
        let position = &checkpoint.positions[0];
        assert_eq!((position.connection, position.sid), (1, 1));
        while books.seqs.get(&1) != Some(&position.seq) {
            books.apply(&client.hear().await.unwrap());
        }
        assert_eq!(checkpoint.books.len(), 3);
        for truth in &checkpoint.books {
            assert_eq!(&books.book(&truth.ticker), truth);
        }
    }
    assert_eq!(exchange.connections_opened(), 1);
    assert_eq!(exchange.commands()[0].text, SUBSCRIBE);
    exchange.stop().await;
    while client.hear().await.is_some() {}
}

#[tokio::test]
async fn only_a_fresh_and_true_signature_opens_the_door() {
    let exchange = start(ExchangeConfig::default()).await;
    let now_ms = now_us() / 1_000;
    let mut forged = signed(&exchange, now_ms);
    forged
        .headers_mut()
        .insert("KALSHI-ACCESS-TIMESTAMP", (now_ms + 1).to_string().parse().unwrap());
    let mut bare = signed(&exchange, now_ms);
    bare.headers_mut().remove("KALSHI-ACCESS-SIGNATURE");
    for (request, expected) in [
        (signed(&exchange, now_ms - 30_000), "header_timestamp_expired"),
        (signed(&exchange, now_ms + 30_000), "header_timestamp_expired"),
        (forged, "INCORRECT_API_KEY_SIGNATURE"),
        (bare, "signature_is_missing_from_headers"),
    ] {
        let Err(Error::Http(response)) = tokio_tungstenite::connect_async(request).await else {
            panic!("{expected}");
        };
        assert_eq!(response.status(), 401);
        let body = String::from_utf8(response.into_body().unwrap()).unwrap();
        assert!(body.contains(expected), "{body}");
    }
    assert_eq!(exchange.connections_opened(), 0);
    assert!(Client::connect(&exchange).await.is_ok());
}

#[tokio::test]
async fn a_recording_is_served_byte_for_byte() {
    let long = format!(r#"{{"pad":"{}"}}"#, "x".repeat(70_000));
    let odd = r#"{"type" : "odd",  "msg":{"é":1}}"#;
    let frames = [odd, "not json", &long, &"y".repeat(200), "last"];
    let source = recording(&frames);
    let exchange = start(ExchangeConfig { source, ..Default::default() }).await;
    let mut client = Client::connect(&exchange).await.unwrap();
    client.say(SUBSCRIBE).await;
    for frame in frames {
        assert_eq!(client.hear().await.unwrap(), format!("{frame}\n"));
    }
    client.say("still here").await;
    while exchange.commands().len() < 2 {
        tokio::task::yield_now().await;
    }
    exchange.stop().await;
    assert_eq!(client.hear().await, None);
}

#[tokio::test]
async fn what_the_script_breaks_is_broken_and_nothing_else() {
    let faults = [
        "refuse=502@attempt=1-2",
        "drop@conn=1,sid=1,seq=2",
        "repeat@conn=1,sid=1,seq=3",
        "cut@conn=1,frame=5",
    ];
    let faults = faults.map(|spec| spec.parse().unwrap()).to_vec();
    let exchange = start(ExchangeConfig { rate: 0, faults, ..Default::default() }).await;
    for _ in 0..2 {
        let Err(Error::Http(response)) = Client::connect(&exchange).await.map(|_| ()) else {
            panic!("not refused");
        };
        assert_eq!(response.status(), 502);
    }
    let mut client = Client::connect(&exchange).await.unwrap();
    client.say(SUBSCRIBE).await;
    let mut seqs = Vec::new();
    while let Some(text) = client.hear().await {
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        seqs.push(frame["seq"].as_u64());
    }
    // Three snapshots without the second and with the third twice, and the two replies.
    assert_eq!(seqs, [None, Some(1), Some(3), Some(3), None]);
    let mut second = Client::connect(&exchange).await.unwrap();
    second.say(SUBSCRIBE).await;
    let mut books = Books::default();
    while books.snapshots < 3 {
        books.apply(&second.hear().await.unwrap());
    }
    assert_eq!(exchange.connections_opened(), 2);
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_subscription_and_nobody_else() {
    let config = ExchangeConfig { rate: 30_000, outbox_frames: 30_000, ..Default::default() };
    let exchange = start(config).await;
    let mut slow = Client::connect(&exchange).await.unwrap();
    let mut quick = Client::connect(&exchange).await.unwrap();
    slow.say(SUBSCRIBE).await;
    quick.say(SUBSCRIBE).await;
    let mut quick_books = Books::default();
    let both = || exchange.checkpoint().positions.iter().filter(|p| p.seq > 0).count();
    while both() < 2 {
        quick_books.apply(&quick.hear().await.unwrap());
    }
    let has_books = |p: &Position| p.connection == 1 && p.channel == "orderbook_delta";
    let limit = Instant::now() + Duration::from_secs(20);
    while exchange.checkpoint().positions.iter().any(has_books) {
        assert!(Instant::now() < limit, "the slow client still has its subscription");
        for _ in 0..1_000 {
            quick_books.apply(&quick.hear().await.unwrap());
        }
    }
    let mut books = Books::default();
    loop {
        let text = slow.hear().await.unwrap();
        books.apply(&text);
        if text.contains(r#""type":"error","sid":1"#) {
            assert!(text.contains(r#""msg":{"code":25,"msg":"Subscription buffer overflow"}"#));
            break;
        }
    }
    exchange.set_rate(0);
    let checkpoint = exchange.checkpoint();
    let quick_position = checkpoint.positions.iter().find(|p| p.connection == 2).unwrap();
    while quick_books.seqs.get(&1) != Some(&quick_position.seq) {
        quick_books.apply(&quick.hear().await.unwrap());
    }
    assert_eq!(quick_books.book("KXA-26-T1"), *checkpoint.book("KXA-26-T1").unwrap());
}

#[tokio::test]
async fn stopping_does_not_wait_for_the_script() {
    for fault in ["split=1h@conn=1,frame=1", "pause=1h@conn=1,frame=1", "mute@conn=1,frame=1"] {
        let faults = vec![fault.parse().unwrap()];
        let exchange = start(ExchangeConfig { faults, ..Default::default() }).await;
        let mut client = Client::connect(&exchange).await.unwrap();
        client.say(SUBSCRIBE).await;
        while exchange.commands().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The frame that the script waits for is the answer.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let stopped = tokio::time::timeout(Duration::from_secs(5), exchange.stop()).await;
        assert!(stopped.is_ok(), "{fault}");
    }
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_client_that_does_not_read() {
    let config = ExchangeConfig { rate: 30_000, outbox_frames: 10_000, ..Default::default() };
    let exchange = start(config).await;
    let mut stuck = Client::connect(&exchange).await.unwrap();
    stuck.say(SUBSCRIBE).await;
    let limit = Instant::now() + Duration::from_secs(20);
    let is_full = |p: &Position| p.channel == "orderbook_delta";
    while exchange.commands().is_empty() || exchange.checkpoint().positions.iter().any(is_full) {
        assert!(Instant::now() < limit, "the client's socket never fills");
        tokio::task::yield_now().await;
    }
    let stopped = tokio::time::timeout(Duration::from_secs(10), exchange.stop()).await;
    assert!(stopped.is_ok());
}

/// Not a test of anything but time: `cargo test --release -- --ignored --nocapture speed`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "a measurement is there to be read")]
async fn speed_of_a_recording() {
    let frame = format!(r#"{{"pad":"{}"}}"#, "x".repeat(225));
    let count = 4_000_000;
    let source = Source::Recording(vec![vec![frame; count]]);
    let exchange = start(ExchangeConfig { source, ..Default::default() }).await;
    let mut client = Client::connect(&exchange).await.unwrap();
    client.say(SUBSCRIBE).await;
    let start = Instant::now();
    for _ in 0..count {
        client.hear_fast().await;
    }
    let passed = start.elapsed();
    let rate = u128::try_from(count).unwrap() * 1_000_000 / passed.as_micros();
    eprintln!("{count} frames in {passed:?}: {rate} frames/s, client and server in one process");
}

/// As above.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "a measurement is there to be read")]
async fn speed_of_the_synthetic_exchange() {
    let exchange = start(ExchangeConfig { rate: 400_000, ..Default::default() }).await;
    let mut client = Client::connect(&exchange).await.unwrap();
    client.say(SUBSCRIBE).await;
    let (start, mut count) = (Instant::now(), 0_u128);
    while start.elapsed() < Duration::from_secs(3) {
        client.hear_fast().await;
        count += 1;
    }
    eprintln!("{} messages/s over a socket", count / 3);
}

#[tokio::test]
async fn rest_answers_on_the_same_port_from_the_same_books() {
    let exchange = start(ExchangeConfig { rate: 0, ..Default::default() }).await;
    let url = exchange.api_url();
    let get = |path: &str| {
        let (url, path) = (url.clone(), path.to_owned());
        async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (host, root) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
            let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
            let head = format!("GET /{root}{path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let status = head.split(' ').nth(1).unwrap().to_owned();
            (status, serde_json::from_str::<serde_json::Value>(body).unwrap())
        }
    };
    let (_, list) = get("/markets?tickers=KXA-26-T1,KXB-26-T2").await;
    assert_eq!(list["markets"][1]["ticker"], "KXB-26-T2");
    assert_eq!(list["cursor"], "");
    let (_, one) = get("/markets/KXA-26-T1").await;
    assert_eq!(one["market"], list["markets"][0]);
    let (_, book) = get("/markets/KXA-26-T1/orderbook?depth=1").await;
    let truth = exchange.checkpoint();
    let (price, size) = truth.book("KXA-26-T1").unwrap().yes[0];
    let best = serde_json::json!([[price.to_string(), size.to_string()]]);
    assert_eq!(book["orderbook_fp"]["yes_dollars"], best);
    let (_, status) = get("/exchange/status").await;
    assert_eq!(status["trading_active"], true);
    assert_eq!(get("/markets/KXUNKNOWN").await.0, "404");
}

#[tokio::test]
async fn the_environment_is_enough_for_the_client() {
    let exchange = start(ExchangeConfig::default()).await;
    let variables = environment(&exchange);
    let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["KALSHI_WS_URL", "KALSHI_API_URL", "KALSHI_KEY_ID", "KALSHI_PRIVATE_KEY"];
    assert_eq!(names, expected);
    let (_, pem) = &variables[3];
    assert!(!pem.contains('\n'));
    assert_eq!(pem.replace("\\n", "\n"), exchange.private_key_pem().unwrap().trim_end());
}

/// Frames that arrive in pieces are whole again; what is not as it should be is.
#[tokio::test]
async fn what_a_script_does_to_frames_is_on_the_wire() {
    let faults = [
        "fragment@conn=1,sid=1,seq=1",
        "split=50ms@conn=1,sid=1,seq=2",
        "garbage@conn=1,sid=1,seq=2",
        "decorate@conn=1,sid=1,seq=3",
        "long=100000@conn=1,sid=1,seq=3",
        "close=1012@conn=1,after=500ms",
    ];
    let faults = faults.map(|spec| spec.parse().unwrap()).to_vec();
    let exchange = start(ExchangeConfig { rate: 0, faults, ..Default::default() }).await;
    let mut client = Client::connect(&exchange).await.unwrap();
    let begun = Instant::now();
    client.say(SUBSCRIBE).await;
    let mut texts = Vec::new();
    while let Some(text) = client.hear().await {
        texts.push(text);
    }
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    let snapshots = texts.iter().filter(|text| text.contains("orderbook_snapshot"));
    let json = |text: &String| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let snapshots: Vec<_> = snapshots.map(json).collect();
    assert_eq!(
        snapshots.iter().map(|s| s["seq"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );
    assert!(snapshots[2]["msg"]["x_new"].is_object());
    assert!(texts.iter().any(|text| serde_json::from_str::<serde_json::Value>(text).is_err()));
    assert!(texts.iter().any(|text| text.len() == 100_000));
}

#[tokio::test]
async fn commands_are_answered_as_the_script_says() {
    let faults = [
        "error=26@conn=1,command=1",
        "ignore@conn=1,command=2",
        "late=300ms@conn=1,command=3",
        "scoped-error=10@conn=1,command=4",
    ];
    let faults = faults.map(|spec| spec.parse().unwrap()).to_vec();
    let exchange = start(ExchangeConfig { rate: 0, faults, ..Default::default() }).await;
    let mut client = Client::connect(&exchange).await.unwrap();
    let hear = async |client: &mut Client| {
        serde_json::from_str::<serde_json::Value>(&client.hear().await.unwrap()).unwrap()
    };
    client.say(SUBSCRIBE).await;
    let error = hear(&mut client).await;
    assert_eq!((&error["id"], &error["msg"]["code"]), (&1.into(), &26.into()));
    client.say(SUBSCRIBE).await;
    client.say(SUBSCRIBE).await;
    let begun = Instant::now();
    for kind in ["subscribed", "subscribed"] {
        assert_eq!(hear(&mut client).await["type"], kind);
    }
    for seq in 1..=3 {
        assert_eq!(hear(&mut client).await["seq"], seq);
    }
    assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
    let again = r#"{"id":9,"cmd":"update_subscription","params":{"sids":[1],"action":"get_snapshot","market_tickers":["KXA-26-T1"]}}"#;
    client.say(again).await;
    let error = hear(&mut client).await;
    assert_eq!((&error["sid"], &error["seq"], &error["id"]), (&1.into(), &4.into(), &().into()));
    assert_eq!(error["msg"]["code"], 10);
    client.say(again).await;
    assert_eq!(hear(&mut client).await["msg"]["code"], 7, "the subscription has ended");
}
