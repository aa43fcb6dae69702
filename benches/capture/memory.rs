//! What ten thousand quiet markets take, and how soon each has its book.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use kalshi_orderbook::{
    exchange::{Exchange, ExchangeConfig},
    protocol::Message,
    tape::{Archive, Body, Reader, Record},
};

use super::{child, client, usage};

/// Messages a second over all markets: each says something every few minutes.
const QUIET: u32 = 50;
const BAR_MB: f64 = 100.0;
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn run(markets: usize, seconds: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let config = ExchangeConfig { rate: QUIET, ..ExchangeConfig::default() };
    let exchange = runtime.block_on(Exchange::start(config)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut tickers = String::new();
    for number in 0..markets {
        writeln!(tickers, "KXQUIET-26NOV22-T{number}").unwrap();
    }
    let list = folder.path().join("tickers.txt");
    fs::write(&list, tickers).unwrap();

    let start = Instant::now();
    let arguments = ["--tickers-file", list.to_str().unwrap()];
    let mut recorder = client::kalshi(&exchange.ws_url(), &folder.path().join("logs"), &arguments)
        .env("KALSHI_KEY_ID", exchange.key_id())
        .env("KALSHI_PRIVATE_KEY", exchange.private_key_pem().unwrap())
        .spawn()
        .unwrap();
    let took = until_all_have_books(&folder.path().join("logs"), markets, start, &mut recorder);
    println!("{markets} markets: all have their book after {took:.1?}");
    std::thread::sleep(Duration::from_secs(seconds));
    if let Some((settled, peak)) = usage::resident(recorder.id()) {
        let (settled, peak) = (settled as f64 / 1e6, peak as f64 / 1e6);
        println!("resident: peak {peak:.1} MB, {settled:.1} MB {seconds} s later");
        println!("bar: {BAR_MB} MB: {}", if peak < BAR_MB { "met" } else { "MISSED" });
    }
    child::stop(&recorder);
    child::wait(&mut recorder);
    runtime.block_on(exchange.stop());
}

/// Follows the tape until it holds a snapshot of each market.
fn until_all_have_books(
    logs: &Path,
    markets: usize,
    start: Instant,
    recorder: &mut Child,
) -> Duration {
    let (mut seen, mut offset) = (HashSet::new(), 0);
    while seen.len() < markets {
        let ended = recorder.try_wait().unwrap();
        assert!(ended.is_none() && start.elapsed() < PATIENCE, "{} books; {ended:?}", seen.len());
        std::thread::sleep(Duration::from_millis(50));
        let Ok(archive) = Archive::open(logs) else { continue };
        let Some(segment) = archive.segments.first() else { continue };
        let mut reader = Reader::open_at(&segment.path, offset).unwrap();
        while let Some(line) = reader.next_line().unwrap() {
            if !line.ended {
                break;
            }
            offset += line.bytes.len() as u64 + 1;
            let Body::Frame(frame) = Record::parse(line.bytes).unwrap().body else { continue };
            if let (_, Ok(Message::Snapshot(snapshot))) = Message::read(&frame).unwrap() {
                seen.insert(snapshot.ticker.into_owned());
            }
        }
    }
    start.elapsed()
}
