//! How fast one connection is recorded, beside a client that reads and throws away.
//!
//! `cargo bench --bench capture [-- MESSAGES]`. A server on loopback has all frames ready in memory
//! and writes them as fast as the client takes them; every frame has 236 bytes and the next
//! sequence number. Prints messages a second and CPU seconds a million messages, of both clients in
//! turn, and the ratio.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a benchmark"
)]

use std::time::{Duration, Instant};

use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use futures_util::StreamExt;
use kalshi_orderbook::{
    ingestor::{Compression, Config, Ingestor},
    protocol::Credentials,
};
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::oneshot};

const FRAME_BYTES: usize = 236;
const ROUNDS: usize = 3;

fn main() {
    let messages = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2_000_000);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let stream = frames(messages);
    println!("{messages} frames of {FRAME_BYTES} bytes, one connection, {ROUNDS} rounds");
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let thrown = measure(messages, || runtime.block_on(throw_away(&stream, messages)));
        let kept = measure(messages, || runtime.block_on(record(&stream, messages)));
        println!("read and thrown away  {thrown}\nrecorded              {kept}");
        ratios.push(kept.rate / thrown.rate);
    }
    ratios.sort_by(f64::total_cmp);
    println!("recorded / thrown away, median: {:.2}", ratios[ROUNDS / 2]);
}

struct Figure {
    rate: f64,
    cpu: f64,
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2} M msg/s, {:.2} CPU s per million (server included)",
            self.rate / 1e6,
            self.cpu
        )
    }
}

fn measure(messages: usize, run: impl FnOnce() -> Duration) -> Figure {
    let before = cpu_seconds();
    let elapsed = run();
    let cpu = cpu_seconds() - before;
    Figure { rate: messages as f64 / elapsed.as_secs_f64(), cpu: cpu / messages as f64 * 1e6 }
}

/// User and system time of this process; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: f64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// WebSocket frames, ready to be written.
fn frames(messages: usize) -> Vec<u8> {
    let mut stream = Vec::with_capacity(messages * (FRAME_BYTES + 4));
    for seq in 1..=messages {
        let head = format!(
            r#"{{"type":"orderbook_delta","sid":2,"seq":{seq},"msg":{{"market_ticker":"KXBENCH-26NOV22-T1","market_id":"00000000-0000-4000-8000-000000000001","price_dollars":"0.6200","delta_fp":"-2.00","side":"yes","ts_ms":1795358623000"#
        );
        let padding = FRAME_BYTES - head.len() - r#","x":""}}"#.len();
        stream.extend_from_slice(&[0x81, 126, 0, FRAME_BYTES as u8]);
        stream.extend_from_slice(head.as_bytes());
        stream.extend_from_slice(format!(r#","x":"{}"}}}}"#, "0".repeat(padding)).as_bytes());
    }
    assert_eq!(stream.len(), messages * (FRAME_BYTES + 4));
    stream
}

/// Accepts one client and writes everything to it; then says so and waits for the client to leave.
async fn serve(listener: TcpListener, stream: &[u8], sent: oneshot::Sender<()>) {
    let (socket, _) = listener.accept().await.unwrap();
    let mut upgraded = tokio_tungstenite::accept_async(socket).await.unwrap();
    upgraded.get_mut().write_all(stream).await.unwrap();
    sent.send(()).unwrap_or_default();
    while upgraded.next().await.is_some_and(|message| message.is_ok()) {}
}

async fn throw_away(stream: &[u8], messages: usize) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let (sent, _) = oneshot::channel();
    let client = async {
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let start = Instant::now();
        for _ in 0..messages {
            assert!(socket.next().await.unwrap().unwrap().len() == FRAME_BYTES);
        }
        start.elapsed()
    };
    tokio::select! {
        elapsed = client => elapsed,
        () = serve(listener, stream, sent) => unreachable!("the client leaves first"),
    }
}

async fn record(stream: &[u8], messages: usize) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        tickers: vec!["KXBENCH-26NOV22-T1".parse().unwrap()],
        log_dir: folder.path().to_owned(),
        url: format!("ws://{}/", listener.local_addr().unwrap()).parse().unwrap(),
        compression: Compression::None,
        segment_bytes: u64::MAX,
        ..Config::default()
    };
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).to_pkcs8_pem(LineEnding::LF).unwrap();
    let credentials = Credentials::new("bench", &key).unwrap();
    let (sent, all_sent) = oneshot::channel();
    let start = Instant::now();
    let (_, summary) = tokio::join!(
        serve(listener, stream, sent),
        Ingestor::new(config, credentials).run(async { all_sent.await.unwrap() }),
    );
    let elapsed = start.elapsed();
    let summary = summary.unwrap();
    assert_eq!(summary.received, messages as u64, "messages lost");
    assert_eq!(summary.written, messages as u64, "messages lost");
    elapsed
}
