//! A recorder under load and trouble for as long as one likes: what it holds of the machine stays
//! the same, and afterwards nothing is missing that was not declared.
//!
//! `KALSHI_SOAK_SECONDS=3600 cargo test --release --test it soak -- --nocapture` is the long form.

#![expect(clippy::print_stderr, reason = "the figures of a long run")]

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kalshi_orderbook::{
    exchange::{Damage, Exchange, ExchangeConfig, Fault, Moment, Reception},
    tape::{Archive, Layout, verify},
};

const CONNECTIONS: usize = 10;
const MARKETS: usize = 200;
const RATE: u32 = 20_000;
/// The subscriptions of a connection in the order in which the recorder asks for them.
const BOOKS: u64 = 1;
const TRADES: u64 = 3;
/// What the trend of memory that is flat may come to over a run of any length.
const NOISE_BYTES: u64 = 8 << 20;
/// A recorder that is told to stop says goodbye, drains, seals and compresses what is left.
const STOPS_WITHIN: Duration = Duration::from_secs(60);
/// What the recorder prints: it names thousands of segments after hours, more than a pipe holds.
const SUMMARY: &str = "summary.json";

/// Every connection loses a book frame and repeats one, and three of four are cut.
fn troubles(seconds: u64) -> Vec<Fault> {
    let frames = seconds * u64::from(RATE) / CONNECTIONS as u64;
    let mut random = fastrand::Rng::with_seed(seconds);
    let refused = Reception::Refuse(503);
    let mut faults = vec![Fault::Door { attempts: 1..=3, what: refused }];
    for connection in 1..=5_000 {
        let mut stream = |at, what| {
            faults.push(Fault::Stream { connections: connection..=connection, at, what });
        };
        let mut seq = || random.u64(300..frames.clamp(2_000, 100_000));
        stream(Moment::Number { sid: BOOKS, seq: seq() }, Damage::Drop);
        stream(Moment::Number { sid: TRADES, seq: seq() / 50 }, Damage::Drop);
        stream(Moment::Number { sid: BOOKS, seq: seq() }, Damage::Repeat);
        if random.u8(0..4) > 0 {
            let after = random.u64(2_000..frames.clamp(10_000, 400_000));
            stream(Moment::Frame(after), Damage::Cut);
        }
    }
    faults
}

fn recorder(exchange: &Exchange, folder: &Path, seconds: u64) -> Child {
    let mut tickers = String::new();
    for n in 0..MARKETS {
        writeln!(tickers, "KXSOAK-26-{n}").unwrap();
    }
    fs::write(folder.join("tickers.txt"), tickers).unwrap();
    Command::new(env!("CARGO_BIN_EXE_kalshi"))
        .args(["ingest", "--env", "sandbox", "--format", "json", "--segment-mb", "12"])
        .args(["--connections", &CONNECTIONS.to_string(), "--duration", &format!("{seconds}s")])
        .args(["--ws-url", &exchange.ws_url(), "--tickers-file", "tickers.txt"])
        .args(["--log-dir", "logs"])
        .current_dir(folder)
        .env("KALSHI_KEY_ID", exchange.key_id())
        .env("KALSHI_PRIVATE_KEY", exchange.private_key_pem().unwrap())
        .env_remove("KALSHI_PRIVATE_KEY_PATH")
        .stdin(Stdio::null())
        .stdout(File::create(folder.join(SUMMARY)).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a process holds of the machine at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    bytes: u64,
    descriptors: usize,
}

impl Sample {
    /// Nothing on systems that do not tell of another process, and after its end.
    fn of(process: u32, at: Duration) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let kilobytes = status.split_once("VmRSS:")?.1.split_whitespace().next()?;
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
        Some(Self { at, bytes: kilobytes.parse::<u64>().ok()? << 10, descriptors })
    }
}

/// Least squares: bytes a second.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let (x, y) = (|s: &Sample| s.at.as_secs_f64(), |s: &Sample| s.bytes as f64);
    let mean_x = samples.iter().map(x).sum::<f64>() / count;
    let mean_y = samples.iter().map(y).sum::<f64>() / count;
    let covariance: f64 = samples.iter().map(|s| (x(s) - mean_x) * (y(s) - mean_y)).sum();
    covariance / samples.iter().map(|s| (x(s) - mean_x).powi(2)).sum::<f64>()
}

#[tokio::test(flavor = "multi_thread")]
async fn under_trouble_memory_is_flat_and_nothing_is_missing_undeclared() {
    let seconds =
        std::env::var("KALSHI_SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let faults = troubles(seconds);
    let exchange = ExchangeConfig { rate: RATE, faults, ..ExchangeConfig::default() };
    let exchange = Exchange::start(exchange).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut child = recorder(&exchange, folder.path(), seconds);

    let (start, mut samples) = (Instant::now(), Vec::new());
    let limit = Duration::from_secs(seconds) + STOPS_WITHIN;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            panic!("does not stop");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        // The end, when all is drained and compressed, is not what months look like.
        if start.elapsed() < Duration::from_secs(seconds) {
            samples.extend(Sample::of(child.id(), start.elapsed()));
        }
    };
    assert!(status.success(), "{status}");
    let summary = fs::read(folder.path().join(SUMMARY)).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let count = |name: &str| summary.get(name).and_then(serde_json::Value::as_u64).unwrap();
    flat(&samples);

    assert_eq!(count("received"), count("written") + count("rejected"));
    assert!(count("received") > seconds * u64::from(RATE) / 4, "{summary}");
    for trouble in ["gaps", "repeats", "losses"] {
        assert!(count(trouble) > 0, "no {trouble}: {summary}");
    }
    let archive = Archive::open(folder.path().join("logs")).unwrap();
    let of = |layout| archive.segments.iter().filter(|segment| segment.layout == layout).count();
    let (open, sealed, compressed) = (of(Layout::Open), of(Layout::Sealed), of(Layout::Compressed));
    assert_eq!(open, 0);
    // How many depends on what else the machine does: the compressor gives way, and a stop does not
    // wait for all that it is behind.
    assert!(compressed > 0, "{sealed} segments, and none is compressed");
    assert!(archive.segments.len() as u64 > seconds / 10, "{} segments", archive.segments.len());
    let proof = verify(&archive, |_| {});
    assert!(!proof.is_damaged(), "{:?} {:?}", proof.missing, proof.holes);
    assert!(proof.unended.is_empty(), "{:?}", proof.unended);
    assert!(proof.holes.iter().all(|hole| hole.found && hole.declared), "{:?}", proof.holes);
    assert_eq!(proof.holes.len() as u64, count("gaps"));
    assert_eq!(proof.segments.iter().map(|s| s.frames).sum::<u64>(), count("written"));
    assert_eq!(proof.segments.iter().map(|s| s.repeats).sum::<u64>(), count("repeats"));
    let names = ["received", "segments", "gaps", "repeats", "losses", "queue_peak"];
    let counts = names.map(|name| format!("{name} {}", count(name)));
    eprintln!("soak of {seconds} s: {}", counts.join(", "));
}

/// After a third of the time the recorder has all it needs.
fn flat(samples: &[Sample]) {
    let warm: Vec<Sample> = samples.iter().skip(samples.len() / 3).copied().collect();
    let (Some(first), Some(last)) = (warm.first(), warm.last()) else { return };
    let growth = slope(&warm) * (last.at - first.at).as_secs_f64();
    let peak = warm.iter().map(|sample| sample.bytes).max().unwrap_or_default();
    let (early, late) = warm.split_at(warm.len() / 2);
    let most = |half: &[Sample]| half.iter().map(|s| s.descriptors).max().unwrap_or_default();
    eprintln!(
        "memory {:.1} to {:.1} MB, peak {:.1} MB, trend {:+.2} MB over {:.0} s; descriptors {}, then {}",
        first.bytes as f64 / 1e6,
        last.bytes as f64 / 1e6,
        peak as f64 / 1e6,
        growth / 1e6,
        (last.at - first.at).as_secs_f64(),
        most(early),
        most(late),
    );
    assert!(growth < NOISE_BYTES as f64, "memory grows by {:.1} MB", growth / 1e6);
    // While a segment is compressed, it and its copy are open as well.
    assert!(most(late) <= most(early) + 2, "descriptors: {} then {}", most(early), most(late));
}
