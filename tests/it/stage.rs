//! An exchange, a recorder and a log folder, and how to look at what came of them.

use std::{
    future::Future,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use kalshi_orderbook::{
    exchange::{Exchange, ExchangeConfig, Source},
    ingestor::{Config, Environment, Ingestor, Limits, Summary},
    protocol::Credentials,
    tape::{Archive, Body, Event, Reader, Record, Segment},
};
use tempfile::TempDir;

/// Nothing in these tests takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
}

impl Stage {
    pub(crate) async fn of(exchange: ExchangeConfig) -> Self {
        let exchange = Exchange::start(exchange).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            backoff_first: Duration::from_millis(20),
            backoff_cap: Duration::from_millis(200),
            ..Limits::default()
        };
        let config = Config {
            log_dir: folder.path().join("logs"),
            environment: Environment::Sandbox,
            url: exchange.ws_url().parse().unwrap(),
            limits,
            flush: Duration::from_millis(20),
            ..Config::default()
        };
        Self { exchange: Arc::new(exchange), folder, config }
    }

    pub(crate) async fn serving(recording: Vec<Vec<String>>) -> Self {
        let source = Source::Recording(recording);
        Self::of(ExchangeConfig { source, ..ExchangeConfig::default() }).await.tickers(1)
    }

    pub(crate) fn tickers(mut self, count: usize) -> Self {
        self.config.tickers = (0..count).map(|n| format!("KXIT-26-{n}").parse().unwrap()).collect();
        self
    }

    pub(crate) fn credentials(&self) -> Credentials {
        let pem = self.exchange.private_key_pem().unwrap();
        Credentials::new(self.exchange.key_id(), pem).unwrap()
    }

    /// Records until the condition holds of what is on the tape so far.
    pub(crate) async fn record_until(&self, condition: impl Fn(&Tape) -> bool) -> Summary {
        let logs = self.config.log_dir.clone();
        self.record(async move {
            until("the tape to hold what was waited for", || condition(&Tape::read(&logs))).await;
        })
        .await
        .unwrap()
    }

    pub(crate) async fn record(
        &self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Summary, kalshi_orderbook::ingestor::Error> {
        Ingestor::new(self.config.clone(), self.credentials()).run(shutdown).await
    }

    pub(crate) fn tape(&self) -> Tape {
        Tape::read(&self.config.log_dir)
    }
}

/// Waits for a condition; says what it was when it does not come.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything on a tape.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    /// Connection and text, in order.
    pub(crate) frames: Vec<(u32, String)>,
    /// The events as Rust prints them, with their connection.
    pub(crate) events: Vec<(Option<u32>, String)>,
    pub(crate) recv_ns: Vec<(u32, i64)>,
    pub(crate) torn: usize,
}

impl Tape {
    pub(crate) fn read(folder: &Path) -> Self {
        Archive::open(folder).map_or_else(|_| Self::default(), |a| Self::of(&a.segments))
    }

    pub(crate) fn of(segments: &[Segment]) -> Self {
        let mut tape = Self::default();
        for segment in segments {
            // A live recorder may seal or compress the file between the listing and the opening.
            let Ok(mut reader) = Reader::open(&segment.path) else { continue };
            while let Some(line) = reader.next_line().unwrap() {
                let Ok(record) = Record::parse(line.bytes) else {
                    assert!(!line.ended, "{}", String::from_utf8_lossy(line.bytes));
                    tape.torn += 1;
                    continue;
                };
                match record.body {
                    Body::Frame(frame) => {
                        let conn = record.conn.unwrap();
                        tape.recv_ns.push((conn, record.recv_ns.unwrap()));
                        tape.frames.push((conn, frame.into_owned()));
                    }
                    Body::Event(event) => {
                        if let Event::Unknown = *event {
                            panic!("unreadable event {}", String::from_utf8_lossy(line.bytes));
                        }
                        tape.events.push((record.conn, format!("{event:?}")));
                    }
                }
            }
        }
        tape
    }

    pub(crate) fn frames_of(&self, conn: u32) -> Vec<&str> {
        self.frames.iter().filter(|(c, _)| *c == conn).map(|(_, text)| text.as_str()).collect()
    }

    pub(crate) fn has(&self, event: &str) -> bool {
        self.count(event) > 0
    }

    pub(crate) fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|(_, text)| text.starts_with(event)).count()
    }
}
