//! Random scripts of faults: whatever went wrong, a book that the tape calls right is the exchange's
//! own, a book that it does not has a hole to show for it, and every hole is one that was made.

use std::{
    fmt::Write,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use fastrand::Rng;
use futures_util::future::join_all;
use kalshi_orderbook::{
    analysis::{Analyzer, Error, GapRow, MessageName, Status},
    exchange::{Checkpoint, Damage, ExchangeConfig, Fault, Moment, Payload, Position, Reply},
    ingestor::Limits,
    tape::{Archive, verify},
};

use crate::{
    compare::{difference, ladders},
    naive::{Recording, Step, Stream, files_in},
    stage::{Stage, until},
    story::{BOOKS, Story},
    truth::image,
};

const MARKETS: usize = 6;
const CALM: usize = 60;
const FAULTS: RangeInclusive<usize> = 2..=8;
const AT_ONCE: usize = 6;
/// To ask takes longer than to record: away from holes, every third book.
const STRIDE: usize = 3;
const NEAR_NS: i64 = 1_000_000_000;
/// By then every fault has struck that will.
const TROUBLED: Duration = Duration::from_millis(2_500);
const BETWEEN_CHECKPOINTS: Duration = Duration::from_millis(25);

/// One fault, as text.
fn fault(rng: &mut Rng) -> String {
    let conn = rng.u32(1..=2);
    let sid = if rng.u8(..4) == 0 { 3 } else { BOOKS };
    let number = format!("conn={conn},sid={sid},seq={}", rng.u32(1..400));
    let frame = match rng.bool() {
        true => format!("conn={conn},frame={}", rng.u32(1..600)),
        false => format!("conn={conn},after={}ms", rng.u32(0..2_000)),
    };
    let command = format!("conn={conn},command={}", rng.u32(1..=7));
    let one_of = |rng: &mut Rng, words: &[&str]| words[rng.usize(..words.len())].to_owned();
    match rng.u8(..10) {
        0..4 => {
            let words = ["drop", "drop", "repeat", "swap", "split=50ms", "fragment", "decorate"];
            format!("{}@{number}", one_of(rng, &words))
        }
        4 => format!("end={}@{number}", one_of(rng, &["10", "17", "25"])),
        5 => {
            let words = ["cut", "close=1001", "close=4000", "mute", "deafen", "not-utf8"];
            format!("{}@{frame}", one_of(rng, &words))
        }
        6 => {
            let words = ["garbage", "binary", "unknown-type", "long=100000", "pause=500ms"];
            format!("{}@{frame}", one_of(rng, &words))
        }
        7 => {
            let word = one_of(rng, &["error", "scoped-error"]);
            let code = one_of(rng, &["7", "10", "17", "18", "25", "26", "27", "999"]);
            format!("{word}={code}@{command}")
        }
        8 => {
            let first = rng.u32(1..=7);
            let word = one_of(rng, &["ignore", "late=200ms", "late=400ms", "late=5s"]);
            format!("{word}@conn={conn},command={first}-{}", first + rng.u32(0..3))
        }
        _ => {
            let words = ["refuse=503@attempt=2", "hang-up@attempt=1-2", "refuse=401@attempt=2"];
            let more = ["clock=-3s@after=1s", "clock=3s@after=1s", "burst=400@after=1s"];
            one_of(rng, &[words, more].concat())
        }
    }
}

/// What was recorded under a script, and what was true meanwhile.
struct Run {
    script: Vec<Fault>,
    analyzer: Analyzer,
    recording: Recording,
    session: String,
    gaps: Vec<GapRow>,
    checkpoints: Vec<Checkpoint>,
    /// The lake lies in it.
    _folder: tempfile::TempDir,
}

#[derive(Debug, Default)]
struct Count {
    right: usize,
    stale: usize,
    not_taped: usize,
    holes: usize,
    away: usize,
}

async fn record(seed: u64, specs: Vec<String>) -> Result<Run, String> {
    let script: Vec<Fault> = specs.iter().map(|spec| spec.parse().unwrap()).collect();
    let faults = script.clone();
    let exchange = ExchangeConfig { rate: 500, faults, seed, ..ExchangeConfig::default() };
    let mut stage = Stage::of(exchange).await.tickers(MARKETS);
    stage.config.limits = Limits {
        connect: Duration::from_millis(1_500),
        ping: Duration::from_millis(500),
        silence: Duration::from_secs(3),
        snapshot: Duration::from_millis(1_200),
        backoff_first: Duration::from_millis(40),
        backoff_cap: Duration::from_millis(300),
        ..Limits::default()
    };
    let logs = stage.config.log_dir.clone();
    let mut checkpoints = Vec::new();
    let looked = async {
        let start = Instant::now();
        while start.elapsed() < TROUBLED {
            tokio::time::sleep(BETWEEN_CHECKPOINTS).await;
            checkpoints.push(stage.exchange.checkpoint());
        }
        until("calm", || Story::read(&logs).is_calm(MARKETS, CALM)).await;
        checkpoints.push(stage.exchange.checkpoint());
        // What the last checkpoint tells of is on its way.
        tokio::time::sleep(BETWEEN_CHECKPOINTS).await;
    };
    let summary = stage.record(looked).await.map_err(|error| format!("stopped: {error}"))?;
    if summary.received != summary.written + summary.rejected {
        return Err(format!("{summary:?}"));
    }
    let proof = verify(&Archive::open(&logs).unwrap(), |_| {});
    if proof.is_damaged() {
        return Err(format!("not sound: {:?} {:?}", proof.holes, proof.segments));
    }
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(&logs).unwrap();
    let gaps = analyzer.gaps().unwrap();
    let recording = Recording::read(&files_in(&logs));
    let (session, folder) = (summary.session, stage.folder);
    Ok(Run { script, analyzer, recording, session, gaps, checkpoints, _folder: folder })
}

impl Run {
    fn check(&self) -> Result<Count, String> {
        let mut count = Count { holes: self.gaps.len(), ..Count::default() };
        for gap in &self.gaps {
            if !self.script.iter().any(|fault| explains(fault, gap)) {
                return Err(format!("a hole that nobody made: {gap:?}"));
            }
        }
        for checkpoint in &self.checkpoints {
            let books = checkpoint.positions.iter().filter(|p| p.channel == "orderbook_delta");
            for position in books.filter(|position| position.seq > 0) {
                for ticker in &position.tickers {
                    self.compare(checkpoint, position, ticker, &mut count)?;
                }
            }
        }
        if count.right == 0 {
            return Err("nothing was compared".to_owned());
        }
        Ok(count)
    }

    fn compare(
        &self,
        checkpoint: &Checkpoint,
        position: &Position,
        ticker: &str,
        count: &mut Count,
    ) -> Result<(), String> {
        let conn = u64::from(position.connection);
        let streams = &self.recording.streams;
        let stream = streams.iter().find(|s| (s.conn, s.sid) == (conn, position.sid));
        let steps = stream.and_then(|stream| stream.at_seq(position.seq));
        let Some((stream, steps)) = stream.zip(steps) else {
            // Lost by script, or cut off on its way.
            count.not_taped += 1;
            return Ok(());
        };
        let at = stream.steps[steps - 1].ns;
        let near = |gap: &GapRow| {
            (gap.ts_from.unwrap().0..gap.ts_found.unwrap().0 + NEAR_NS).contains(&at)
        };
        if !self.gaps.iter().any(near) {
            count.away += 1;
            if !count.away.is_multiple_of(STRIDE) {
                return Ok(());
            }
        }
        let name = MessageName {
            session: self.session.clone(),
            conn: i64::from(position.connection),
            sid: i64::try_from(position.sid).unwrap(),
            seq: i64::try_from(position.seq).unwrap(),
        };
        let place = format!("{ticker} after {name:?}");
        let answer = match self.analyzer.reconstruct_book_after(ticker, &name) {
            Ok(book) => Some(book),
            Err(Error::TooEarly { .. } | Error::NoSuchNumber { .. } | Error::NoBook { .. }) => None,
            Err(error) => return Err(format!("{place}: {error}")),
        };
        let known = answer.filter(|book| !matches!(book.status, Status::Stale { .. }));
        if let Some(book) = known {
            count.right += 1;
            let right = image(checkpoint.book(ticker).unwrap());
            return match difference(&ladders(&book), &right) {
                Some(other) => Err(format!("{place}: {other} ({:?})", book.status)),
                None => Ok(()),
            };
        }
        count.stale += 1;
        if self.is_excused(stream, ticker, at) {
            Ok(())
        } else {
            Err(format!("{place}: unknown, and no hole says why: {:?}", self.gaps))
        }
    }

    /// Whether a hole, or a snapshot that is still to come, says why a book is not known.
    fn is_excused(&self, stream: &Stream, ticker: &str, at: i64) -> bool {
        let snapshots = |from: i64| {
            let own = |step: &&Step| step.is_snapshot() && step.ticker == ticker;
            stream.steps.iter().filter(own).map(|step| step.ns).find(|ns| *ns >= from)
        };
        let begun = snapshots(i64::MIN).is_some_and(|first| first <= at);
        let in_hole = |gap: &&GapRow| {
            let concerns =
                gap.tickers.as_ref().is_some_and(|all| all.split(' ').any(|t| t == ticker));
            let mended = snapshots(gap.ts_found.unwrap().0).unwrap_or(i64::MAX);
            concerns
                && gap.conn == i64::try_from(stream.conn).unwrap()
                && (gap.ts_from.unwrap().0..=mended).contains(&at)
        };
        !begun || self.gaps.iter().any(|gap| in_hole(&gap))
    }
}

/// Whether a fault can have made a hole.
fn explains(fault: &Fault, gap: &GapRow) -> bool {
    let conn = u32::try_from(gap.conn).unwrap();
    let cause = gap.cause.as_deref().unwrap_or_default();
    let unanswered = gap.kind == "disconnected" && cause.starts_with("no snapshot came");
    if let Fault::Stream { connections, at, what } = fault
        && connections.contains(&conn)
    {
        let here = || {
            let Moment::Number { sid, seq } = *at else { return None };
            (gap.sid == i64::try_from(sid).ok()).then(|| i64::try_from(seq).unwrap())
        };
        let between = |seq: i64| gap.expected <= Some(seq) && Some(seq) < gap.got;
        return match (gap.kind.as_str(), what) {
            ("sequence", Damage::Drop) => here().is_some_and(between),
            // A snapshot that comes after its successor starts the count anew.
            ("sequence", Damage::Swap) => here().is_some_and(|n| between(n) || between(n + 1)),
            ("repeat", Damage::Repeat | Damage::Swap) => here().is_some(),
            ("ended", Damage::End(_)) => true,
            ("disconnected", Damage::Cut | Damage::Close(_) | Damage::Mute) => true,
            ("disconnected", Damage::Deafen | Damage::Say(Payload::NotUtf8)) => true,
            // What was asked for after a loss can be lost, too.
            (_, Damage::Drop | Damage::Swap) => unanswered,
            _ => false,
        };
    }
    if let Fault::Command { connections, what, .. } = fault
        && connections.contains(&conn)
    {
        let ends = matches!(what, Reply::Error { scoped: true, .. }) && gap.kind == "ended";
        return unanswered || ends;
    }
    false
}

fn script(seed: u64) -> Vec<String> {
    let mut rng = Rng::with_seed(seed);
    let mut script: Vec<String> = (0..rng.usize(FAULTS)).map(|_| fault(&mut rng)).collect();
    if rng.bool() {
        // A hole that is open for long, so that there is time to look into it.
        script.push(format!("drop@conn=1,sid=1,seq={}", rng.u32(10..400)));
        script.push("late=400ms@conn=1,command=5-9".to_owned());
    }
    script
}

/// `KALSHI_FAULT_SCRIPTS` is how many, `KALSHI_SEED` the first.
#[tokio::test(flavor = "multi_thread")]
async fn after_any_script_books_are_true_or_in_a_hole_that_was_made() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("KALSHI_SEED").unwrap_or(0);
    let scripts = number("KALSHI_FAULT_SCRIPTS").unwrap_or(6);
    let seeds: Vec<u64> = (first..first + scripts).collect();
    let mut ends = Vec::new();
    for seeds in seeds.chunks(AT_ONCE) {
        // What is recorded should not wait for what is checked.
        let runs = seeds.iter().map(|seed| tokio::spawn(record(*seed, script(*seed))));
        let runs = join_all(runs).await;
        for (seed, run) in seeds.iter().zip(runs) {
            let run = run.unwrap_or_else(|panic| Err(panic.to_string()));
            ends.push((*seed, run.and_then(|run| run.check())));
        }
    }
    let (mut total, mut failed) = (Count::default(), String::new());
    for (seed, end) in ends {
        match end {
            Ok(count) => {
                total.right += count.right;
                total.stale += count.stale;
                total.not_taped += count.not_taped;
                total.holes += count.holes;
            }
            Err(what) => {
                let faults = script(seed);
                writeln!(failed, "KALSHI_SEED={seed} KALSHI_FAULT_SCRIPTS=1: {faults:?}: {what}")
                    .unwrap();
            }
        }
    }
    eprintln!("{scripts} scripts: {total:?}");
    assert!(failed.is_empty(), "\n{failed}");
}
