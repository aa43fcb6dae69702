//! The recorder and the analysis against the exchange's own order-level truth.

use std::{cell::Cell, collections::BTreeMap, ops::RangeInclusive, time::Duration, time::Instant};

use fastrand::Rng;
use kalshi_orderbook::{
    analysis::{Analyzer, Status},
    exchange::{BookImage, Checkpoint, ExchangeConfig, Fault, Position},
    ingestor::Summary,
};

use crate::{
    compare::{Tally, all_markets, at_instants, difference, ladders},
    naive::{Ladders, Recording, Stream, files_in},
    stage::{Stage, Tape, until},
};

const CHECKPOINTS: usize = 10;

/// What was recorded, and what was true meanwhile.
struct Run {
    stage: Stage,
    checkpoints: Vec<Checkpoint>,
    summary: Summary,
}

/// The streams of books at a checkpoint.
fn books(checkpoint: &Checkpoint) -> impl Iterator<Item = &Position> {
    checkpoint.positions.iter().filter(|position| position.channel == "orderbook_delta")
}

/// Records until the exchange has told so many book frames, looking at the truth on the way and
/// at the end, and until the condition holds of the tape.
async fn record(
    exchange: ExchangeConfig,
    markets: usize,
    frames: u64,
    condition: impl Fn(&Tape) -> bool,
) -> Run {
    let stage = Stage::of(exchange).await.tickers(markets);
    let mut checkpoints = Vec::new();
    let looked = async {
        let (told, last) = (Cell::new(0), Cell::new(0));
        let all_subscribed = |checkpoint: &Checkpoint| {
            books(checkpoint).map(|position| position.tickers.len()).sum::<usize>() == markets
        };
        for n in 1..=CHECKPOINTS as u64 {
            until("the exchange to tell enough", || {
                let checkpoint = stage.exchange.checkpoint();
                let now = books(&checkpoint).map(|position| position.seq).sum::<u64>();
                told.set(told.get() + now.saturating_sub(last.replace(now)));
                told.get() >= frames * n / CHECKPOINTS as u64 && all_subscribed(&checkpoint)
            })
            .await;
            checkpoints.push(stage.exchange.checkpoint());
        }
        until("the tape to hold what was waited for", || condition(&stage.tape())).await;
        stage.exchange.set_rate(0);
        checkpoints.push(stage.exchange.checkpoint());
        let last = checkpoints.last().unwrap();
        let ends: Vec<_> =
            books(last).map(|p| format!(r#""sid":{},"seq":{},"#, p.sid, p.seq)).collect();
        until("the last frames", || {
            let tape = stage.tape();
            ends.iter().all(|end| tape.frames.iter().rev().any(|(_, text)| text.contains(end)))
        })
        .await;
    };
    let summary = stage.record(looked).await.unwrap();
    Run { stage, checkpoints, summary }
}

impl Run {
    fn load(&self) -> (Analyzer, Recording) {
        let recording = Recording::read(&files_in(&self.stage.config.log_dir));
        let analyzer = Analyzer::new().unwrap();
        let report = analyzer.load_logs(&self.stage.config.log_dir).unwrap();
        assert_eq!(report.total().lines, recording.files.iter().map(|f| f.lines).sum::<u64>());
        let clean = self.summary.gaps == 0;
        assert_eq!(report.oddities().is_empty(), clean, "{:?}", report.oddities());
        (analyzer, recording)
    }

    /// Compares naive books with the true ones at every checkpoint and market, and the library's
    /// at every `stride`-th. What the tape does not hold in a known state is counted as unknown.
    fn compare(&self, analyzer: &Analyzer, recording: &Recording, stride: usize) -> Tally {
        let mut tally = Tally::default();
        let mut turn = 0;
        let named = connections(&self.checkpoints, recording);
        for (n, checkpoint) in self.checkpoints.iter().enumerate() {
            for position in books(checkpoint) {
                let Some(stream) = named.get(&position.connection) else {
                    tally.differ(format!("connection {} is not on the tape", position.connection));
                    continue;
                };
                let Some(steps) = stream.at_seq(position.seq) else {
                    // Dropped by script, or cut off on its way.
                    tally.unknown += 1;
                    continue;
                };
                for ticker in &position.tickers {
                    let place = format!("checkpoint {n} {ticker} seq {}", position.seq);
                    let right = image(checkpoint.book(ticker).unwrap());
                    let state = stream.states(ticker, &[steps]).remove(0);
                    if !state.known {
                        tally.unknown += 1;
                        continue;
                    }
                    if let Some(other) = difference(state.book.as_ref().unwrap(), &right) {
                        tally.differ(format!("{place}: the tape: {other}"));
                    }
                    turn += 1;
                    if turn % stride == 0 {
                        let ask = Ask { analyzer, recording, stream, steps };
                        ask.compare(&mut tally, &place, ticker, &right);
                    }
                }
            }
        }
        tally
    }
}

/// A question for a market's book after so many steps of a stream.
struct Ask<'a> {
    analyzer: &'a Analyzer,
    recording: &'a Recording,
    stream: &'a Stream,
    steps: usize,
}

impl Ask<'_> {
    fn compare(&self, tally: &mut Tally, place: &str, ticker: &str, right: &Ladders) {
        let step = &self.stream.steps[self.steps - 1];
        // A number names the newest stream that has it; an older one is reached by time, unless
        // more than one frame came at that instant.
        let others = self.recording.streams_of(ticker);
        let newest = others.iter().filter(|s| s.at_seq(step.seq).is_some()).map(|s| s.conn).max();
        let start = Instant::now();
        let answer = if newest == Some(self.stream.conn) {
            self.analyzer.reconstruct_book_at_seq(ticker, i64::try_from(step.seq).unwrap())
        } else if self.stream.steps.get(self.steps).is_none_or(|next| next.ns > step.ns) {
            self.analyzer.reconstruct_book_at(ticker, step.ns)
        } else {
            tally.perhaps += 1;
            return;
        };
        tally.asking += start.elapsed();
        tally.known += 1;
        let book = match answer {
            Ok(book) => book,
            Err(error) => return tally.differ(format!("{place}: {error}")),
        };
        if let Some(other) = difference(&ladders(&book), right) {
            tally.differ(format!("{place}: {other} ({:?})", book.status));
        }
        let empty = right.yes.is_empty() && right.no.is_empty();
        let status = if empty { Status::Empty } else { Status::Ok };
        if book.status != status {
            tally.differ(format!("{place}: {:?} should be {status:?}", book.status));
        }
        if book.conn != i64::try_from(self.stream.conn).unwrap() {
            tally.differ(format!("{place}: connection {} for {}", book.conn, self.stream.conn));
        }
    }
}

pub(crate) fn image(book: &BookImage) -> Ladders {
    let side =
        |levels: &[(kalshi_orderbook::protocol::Price, kalshi_orderbook::protocol::Size)]| {
            levels.iter().map(|(price, size)| (i64::from(price.units()), size.units())).collect()
        };
    Ladders { yes: side(&book.yes), no: side(&book.no) }
}

/// The exchange's connections on the tape: both sides count the connections of the same markets in
/// the same order.
fn connections<'a>(
    checkpoints: &[Checkpoint],
    recording: &'a Recording,
) -> BTreeMap<u32, &'a Stream> {
    let mut theirs = BTreeMap::<Vec<String>, Vec<u32>>::new();
    for position in checkpoints.iter().flat_map(books) {
        let list = theirs.entry(position.tickers.clone()).or_default();
        if !list.contains(&position.connection) {
            list.push(position.connection);
        }
    }
    let mut named = BTreeMap::new();
    for (tickers, connections) in theirs {
        let mut ours = recording.streams_of(&tickers[0]);
        ours.sort_by_key(|stream| stream.conn);
        // A connection that was cut before the first checkpoint has no position.
        let skip = ours.len().saturating_sub(connections.len());
        named.extend(connections.into_iter().zip(ours.into_iter().skip(skip)));
    }
    named
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_markets_have_their_true_books_at_every_checkpoint() {
    let seconds = std::env::var("KALSHI_TRUTH_SECONDS").map_or(8, |s| s.parse::<u64>().unwrap());
    let rate = 5_000;
    let exchange = ExchangeConfig { rate, ..ExchangeConfig::default() };
    let frames = u64::from(rate) * seconds * 8 / 10;
    let start = Instant::now();
    let run = record(exchange, 200, frames, |_| true).await;
    let recorded = start.elapsed();
    assert_eq!((run.summary.gaps, run.summary.losses, run.summary.rejected), (0, 0, 0));
    let (analyzer, recording) = run.load();
    assert!(recording.streams.iter().map(|stream| stream.conn).max() > Some(1));
    let mut tally = run.compare(&analyzer, &recording, if seconds > 8 { 1 } else { 5 });
    tally.markets = recording.markets().len();
    assert_eq!((tally.markets, tally.unknown, tally.perhaps), (200, 0, 0));
    let received = run.summary.received;
    tally.conclude(format!("truth, {received} messages in {recorded:.1?}"));
}

fn with(faults: Vec<Fault>) -> ExchangeConfig {
    ExchangeConfig { rate: 2_000, faults, ..ExchangeConfig::default() }
}

/// The naive side and the library agree everywhere, and above all about the edges of the holes.
fn compare_holes(run: &Run, analyzer: &Analyzer, recording: &Recording) -> Tally {
    let mut tally = all_markets(analyzer, recording, 40, 5, &mut Rng::with_seed(3));
    for ticker in recording.markets() {
        let streams = recording.streams_of(&ticker);
        let mut edges: Vec<i64> = streams
            .iter()
            .flat_map(|stream| stream.edges(&ticker))
            .flat_map(|ns| [ns - 1, ns, ns + 1])
            .collect();
        edges.sort_unstable();
        at_instants(&mut tally, analyzer, &ticker, &streams, edges);
    }
    tally.add(run.compare(analyzer, recording, 1));
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_frame_makes_books_stale_until_they_are_repaired_and_right_after() {
    // One of the first snapshots, and a frame in the midst.
    for seq in [3, 1_500] {
        let faults = vec![format!("drop@conn=1,sid=1,seq={seq}").parse().unwrap()];
        let run = record(with(faults), 20, 4_000, |tape| tape.has("Repaired")).await;
        assert_eq!((run.summary.gaps, run.summary.missing), (1, 1));
        let (analyzer, recording) = run.load();
        let tally = compare_holes(&run, &analyzer, &recording);
        assert!(tally.unknown > 0);
        tally.conclude(format!("frame {seq} dropped"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_makes_its_books_stale_until_the_next_one() {
    let faults = vec!["cut@conn=1,frame=2000".parse().unwrap()];
    let run = record(with(faults), 20, 4_000, |tape| tape.count("Connected") == 2).await;
    assert_eq!((run.summary.connections, run.summary.losses), (2, 1));
    let (analyzer, recording) = run.load();
    let tally = compare_holes(&run, &analyzer, &recording);
    assert!(tally.unknown > 0);
    tally.conclude("connection cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn markets_that_close_have_their_true_books_to_the_empty_end() {
    const fn millis(from: u64, to: u64) -> RangeInclusive<Duration> {
        Duration::from_millis(from)..=Duration::from_millis(to)
    }
    let exchange = ExchangeConfig {
        market_life: Some(millis(500, 6_000)),
        empty_after: millis(100, 300),
        ..with(Vec::new())
    };
    let emptied = |tape: &Tape| {
        let empty =
            |text: &str| text.contains("orderbook_snapshot") && !text.contains("_dollars_fp");
        tape.frames.iter().filter(|(_, text)| empty(text)).count() > 5
    };
    let run = record(exchange, 60, 4_000, emptied).await;
    let (analyzer, recording) = run.load();
    let mut tally = all_markets(&analyzer, &recording, 20, 5, &mut Rng::with_seed(4));
    tally.add(run.compare(&analyzer, &recording, 1));
    let last = run.checkpoints.last().unwrap();
    assert!(last.books.iter().any(|book| book.yes.is_empty() && book.no.is_empty()));
    tally.conclude("closing markets");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overflowing_subscription_makes_its_books_stale_until_they_are_told_again() {
    // One tick of the market's burst is more than this outbox takes.
    let exchange = ExchangeConfig { outbox_frames: 50, ..with(Vec::new()) };
    let overflow = |tape: &Tape| {
        tape.frames.iter().any(|(_, text)| text.contains(r#""code":25"#)) && tape.frames.len() > 900
    };
    let stage = Stage::of(exchange).await.tickers(20);
    let burst = async {
        until("every snapshot", || stage.tape().frames.len() > 200).await;
        stage.exchange.set_rate(1_000_000);
        until("an overflow", || {
            stage.tape().frames.iter().any(|(_, text)| text.contains(r#""code":25"#))
        })
        .await;
        stage.exchange.set_rate(1_000);
        until("more frames", || overflow(&stage.tape())).await;
    };
    let summary = stage.record(burst).await.unwrap();
    let run = Run { stage, checkpoints: Vec::new(), summary };
    let recording = Recording::read(&files_in(&run.stage.config.log_dir));
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(&run.stage.config.log_dir).unwrap();
    let tally = compare_holes(&run, &analyzer, &recording);
    eprintln!("after error 25: {:?} gaps, {:?} losses", run.summary.gaps, run.summary.losses);
    tally.conclude("error 25");
}
