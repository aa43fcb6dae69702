//! Every fault of the sandbox exchange against the recorder: what the tape says afterwards, that no
//! market stays dark and that nothing is tried in a storm. The cases are the table of
//! `docs/faults.md`.

use std::time::Duration;

use futures_util::future::join_all;
use kalshi_orderbook::{
    analysis::Analyzer,
    exchange::ExchangeConfig,
    ingestor::{Limits, Summary},
    tape::{Archive, verify},
};

use crate::{stage::Stage, story::Story};

const MARKETS: usize = 6;
/// Frames after the last trouble, before a recording is stopped.
const CALM: usize = 100;
/// By then faults by time have struck: more than come in the first 2.5 s, a burst included.
const TIMED_FRAMES: usize = 3_000;
const PATIENCE: Duration = Duration::from_secs(25);
/// The recorder's first command is the book subscription; the four channels take four. Whatever
/// goes wrong, this is no storm.
const COMMANDS_PER_SECOND_MAX: usize = 40;
const ATTEMPTS_PER_SECOND_MAX: usize = 25;
/// Cases at a time.
const AT_ONCE: usize = 10;

struct Case {
    name: &'static str,
    faults: &'static [&'static str],
    wire: &'static str,
    recorder: &'static str,
    /// The tape's events besides those of every recording, in order.
    tape: &'static [&'static str],
    /// The holes that `kalshi analyze gaps` lists.
    gaps: &'static [&'static str],
}

struct Recorded {
    stage: Stage,
    summary: Summary,
}

const fn case(
    name: &'static str,
    faults: &'static [&'static str],
    [wire, recorder]: [&'static str; 2],
    tape: &'static [&'static str],
    gaps: &'static [&'static str],
) -> Case {
    Case { name, faults, wire, recorder, tape, gaps }
}

const REPAIRS: &str = "asks every market's snapshot again";
const RECONNECTS: &str = "connects again, subscribes to everything";
const WAITS: &str = "tries again, later each time";
const NOTHING: &str = "goes on";
const HALVES: &str = "asks for the markets again in halves";
const SLOWER: &str = "asks again more slowly, and what is subscribed";
const RESUBSCRIBES: &str = "subscribes again, more slowly";
const GAP: &[&str] = &["gap", "repaired"];
const SEQUENCE: &[&str] = &["sequence, declared and found"];
const LOST: &[&str] = &["disconnected"];
const CUT: &[&str] = &["disconnected, declared"];
const ENDED: &[&str] = &["ended, found"];

/// The limits here are those of [`limits`].
const CASES: &[Case] = &[
    case(
        "a lost delta",
        &["drop@conn=1,sid=1,seq=50"],
        ["a frame does not come", REPAIRS],
        GAP,
        SEQUENCE,
    ),
    case(
        "a lost snapshot",
        &["drop@conn=1,sid=1,seq=3"],
        ["a frame does not come", REPAIRS],
        GAP,
        SEQUENCE,
    ),
    case(
        "a lost trade",
        &["drop@conn=1,sid=3,seq=5"],
        ["a frame does not come", "writes it down"],
        &["gap"],
        SEQUENCE,
    ),
    case(
        "a repeated delta",
        &["repeat@conn=1,sid=1,seq=50"],
        ["a frame comes twice", REPAIRS],
        &["repeat", "repaired"],
        &[],
    ),
    case(
        "two deltas swapped",
        &["swap@conn=1,sid=1,seq=50"],
        ["two frames change places", REPAIRS],
        &["gap", "repeat", "repaired"],
        SEQUENCE,
    ),
    case(
        "two snapshots swapped",
        &["swap@conn=1,sid=1,seq=3"],
        ["two frames change places", REPAIRS],
        &["gap", "repeat", "gap", "repaired"],
        &["repeat, found", "sequence, declared and found", "sequence, declared and found"],
    ),
    case(
        "a frame in two writes",
        &["split=200ms@conn=1,sid=1,seq=50"],
        ["half a frame, a pause, the other half", NOTHING],
        &[],
        &[],
    ),
    case(
        "a message in two frames",
        &["fragment@conn=1,sid=1,seq=50"],
        ["a fragmented message", NOTHING],
        &[],
        &[],
    ),
    case(
        "unknown fields",
        &["decorate@conn=1,frame=1", "decorate@conn=1,sid=1,seq=3", "decorate@conn=1,sid=1,seq=50"],
        ["new fields in reply, snapshot and delta", NOTHING],
        &[],
        &[],
    ),
    case(
        "an unknown type",
        &["unknown-type@conn=1,frame=50"],
        ["a message of a new type", "keeps it"],
        &[],
        &[],
    ),
    case(
        "no JSON",
        &["garbage@conn=1,frame=50"],
        ["a text that is no JSON", "keeps it as an event"],
        &["bad_frame"],
        &[],
    ),
    case(
        "a binary message",
        &["binary@conn=1,frame=50"],
        ["a binary message", "keeps it as an event"],
        &["bad_frame"],
        &[],
    ),
    case(
        "text that is not UTF-8",
        &["not-utf8@conn=1,frame=50"],
        ["a text message that is not UTF-8", RECONNECTS],
        &["bad_frame", "disconnected"],
        CUT,
    ),
    case(
        "a message of 1 MB",
        &["long=1000000@conn=1,frame=50"],
        ["a long message", "keeps it"],
        &[],
        &[],
    ),
    case(
        "hung up at the handshake",
        &["hang-up@attempt=1-3"],
        ["TCP opens and closes, three times", WAITS],
        &["not_connected"; 3],
        &[],
    ),
    case(
        "silence at the handshake",
        &["silence@attempt=1"],
        ["TCP opens, no answer comes", "gives up after the connect limit"],
        &["not_connected"],
        &[],
    ),
    case(
        "refused with 429",
        &["refuse=429@attempt=1-3"],
        ["HTTP 429, three times", WAITS],
        &["not_connected"; 3],
        &[],
    ),
    case(
        "refused with 500",
        &["refuse=500@attempt=1-3"],
        ["HTTP 500, three times", WAITS],
        &["not_connected"; 3],
        &[],
    ),
    case(
        "refused with 503",
        &["refuse=503@attempt=1-3"],
        ["HTTP 503, three times", WAITS],
        &["not_connected"; 3],
        &[],
    ),
    case(
        "401 after the key has worked",
        &["cut@conn=1,frame=100", "refuse=401@attempt=2-4"],
        ["cut, then HTTP 401, three times", "tries again; 20 in a row are final"],
        &["disconnected", "not_connected", "not_connected", "not_connected"],
        CUT,
    ),
    case(
        "403 after the key has worked",
        &["cut@conn=1,frame=100", "refuse=403@attempt=2-4"],
        ["cut, then HTTP 403, three times", "tries again; 20 in a row are final"],
        &["disconnected", "not_connected", "not_connected", "not_connected"],
        CUT,
    ),
    case(
        "401 after an outage",
        &["cut@conn=1,frame=100", "hang-up@attempt=2-25", "refuse=401@attempt=26"],
        ["cut, hung up 24 times, then HTTP 401 once", WAITS],
        &["disconnected", "not_connected.."],
        CUT,
    ),
    case(
        "cut after the ack",
        &["cut@conn=1,frame=1"],
        ["the first frame, then FIN", RECONNECTS],
        LOST,
        CUT,
    ),
    case(
        "cut in the snapshots",
        &["cut@conn=1,sid=1,seq=3"],
        ["three of six snapshots, then FIN", RECONNECTS],
        LOST,
        CUT,
    ),
    case(
        "cut again and again",
        &["cut@conn=1,sid=1,seq=3", "hang-up@attempt=2-3", "cut@conn=2,frame=1"],
        [
            "cut in the snapshots, hung up twice, cut after the ack",
            "connects again, later each time",
        ],
        &["disconnected", "not_connected", "not_connected", "disconnected"],
        &["disconnected, declared"; 2],
    ),
    case(
        "closed with 1001",
        &["close=1001@conn=1,frame=100"],
        ["a close frame, going away", RECONNECTS],
        LOST,
        CUT,
    ),
    case(
        "closed with 1012",
        &["close=1012@conn=1,frame=100"],
        ["a close frame, service restart", RECONNECTS],
        LOST,
        CUT,
    ),
    case(
        "closed with 4000",
        &["close=4000@conn=1,frame=100"],
        ["a close frame of the exchange's own", RECONNECTS],
        LOST,
        CUT,
    ),
    case(
        "mute",
        &["mute@conn=1,after=500ms"],
        ["TCP open, no bytes, no pongs", "pings, connects again after the silence limit"],
        LOST,
        CUT,
    ),
    case(
        "deaf and mute",
        &["deafen@conn=1,after=500ms"],
        ["TCP open, nothing sent or read", "pings, connects again after the silence limit"],
        LOST,
        CUT,
    ),
    case(
        "a pause",
        &["pause=1300ms@conn=1,after=800ms"],
        ["nothing for a while, then all of it", "says that frames came late"],
        &["lagging", "caught_up"],
        &[],
    ),
    case(
        "error 10",
        &["end=10@conn=1,sid=1,seq=50"],
        ["the book subscription ends", RESUBSCRIBES],
        &[],
        ENDED,
    ),
    case(
        "error 17",
        &["end=17@conn=1,sid=1,seq=50"],
        ["the book subscription ends", RESUBSCRIBES],
        &[],
        ENDED,
    ),
    case(
        "error 25",
        &["end=25@conn=1,sid=1,seq=50"],
        ["the book subscription ends", RESUBSCRIBES],
        &[],
        ENDED,
    ),
    case(
        "error 25 on trades",
        &["end=25@conn=1,sid=3,seq=5"],
        ["the trade subscription ends", RESUBSCRIBES],
        &[],
        &[],
    ),
    case(
        "error 10 to subscribe",
        &["error=10@conn=1,command=1"],
        ["the book subscription is refused", RESUBSCRIBES],
        &[],
        &[],
    ),
    case(
        "error 25 to subscribe",
        &["error=25@conn=1,command=1"],
        ["the book subscription is refused", RESUBSCRIBES],
        &[],
        &[],
    ),
    case(
        "error 7 to subscribe",
        &["error=7@conn=1,command=1"],
        ["the book subscription is refused", RESUBSCRIBES],
        &[],
        &[],
    ),
    case(
        "error 18 to subscribe",
        &["error=18@conn=1,command=1"],
        ["the book subscription is refused", SLOWER],
        &[],
        &[],
    ),
    case(
        "error 27 to subscribe",
        &["error=27@conn=1,command=1"],
        ["the book subscription is refused", SLOWER],
        &[],
        &[],
    ),
    case(
        "error 26 to subscribe",
        &["error=26@conn=1,command=1"],
        ["too many markets, it says", HALVES],
        &[],
        &[],
    ),
    case(
        "an unknown error to subscribe",
        &["error=999@conn=1,command=1"],
        ["an error of a new code", HALVES],
        &[],
        &[],
    ),
    case(
        "error 8 to subscribe",
        &["error=8@conn=1,command=2"],
        ["no such channel as `ticker`, it says", "does without that channel"],
        &[],
        &[],
    ),
    case(
        "error 10 to get_snapshot",
        &["drop@conn=1,sid=1,seq=50", "scoped-error=10@conn=1,command=5"],
        ["a lost delta, then the subscription ends", RESUBSCRIBES],
        &["gap"],
        SEQUENCE,
    ),
    case(
        "error 25 to get_snapshot",
        &["drop@conn=1,sid=1,seq=50", "scoped-error=25@conn=1,command=5"],
        ["a lost delta, then the subscription ends", RESUBSCRIBES],
        &["gap"],
        SEQUENCE,
    ),
    case(
        "error 18 to get_snapshot",
        &["drop@conn=1,sid=1,seq=50", "scoped-error=18@conn=1,command=5"],
        ["a lost delta, then an error without an id", "connects again after the snapshot limit"],
        &["gap", "disconnected"],
        &["disconnected, declared", "sequence, declared and found"],
    ),
    case(
        "error 26 to get_snapshot",
        &["drop@conn=1,sid=1,seq=50", "scoped-error=26@conn=1,command=5"],
        ["a lost delta, then an error without an id", "connects again after the snapshot limit"],
        &["gap", "disconnected"],
        &["disconnected, declared", "sequence, declared and found"],
    ),
    case(
        "error 27 to get_snapshot",
        &["drop@conn=1,sid=1,seq=50", "scoped-error=27@conn=1,command=5"],
        ["a lost delta, then an error without an id", "connects again after the snapshot limit"],
        &["gap", "disconnected"],
        &["disconnected, declared", "sequence, declared and found"],
    ),
    case(
        "an unknown error to get_snapshot",
        &["drop@conn=1,sid=1,seq=50", "scoped-error=999@conn=1,command=5"],
        ["a lost delta, then an error without an id", "connects again after the snapshot limit"],
        &["gap", "disconnected"],
        &["disconnected, declared", "sequence, declared and found"],
    ),
    case(
        "an ignored subscribe",
        &["ignore@conn=1,command=1"],
        ["the book subscription is not answered", "connects again after the snapshot limit"],
        LOST,
        CUT,
    ),
    case(
        "an ignored subscribe to tickers",
        &["ignore@conn=1,command=2"],
        ["the ticker subscription is not answered", "asks again after the snapshot limit"],
        &[],
        &[],
    ),
    case(
        "an ignored get_snapshot",
        &["drop@conn=1,sid=1,seq=50", "ignore@conn=1,command=5"],
        ["a lost delta, then no answer", "connects again after the snapshot limit"],
        &["gap", "disconnected"],
        &["disconnected, declared", "sequence, declared and found"],
    ),
    case(
        "slow snapshots",
        &["late=300ms@conn=1,command=1"],
        ["snapshots come late", "waits for them"],
        &[],
        &[],
    ),
    case(
        "snapshots beyond the limit",
        &["late=10s@conn=1,command=1"],
        ["snapshots do not come", "connects again after the snapshot limit"],
        LOST,
        CUT,
    ),
    case(
        "slow repairs",
        &["drop@conn=1,sid=1,seq=50", "late=300ms@conn=1,command=5"],
        ["a lost delta, its repair comes late", "waits for it"],
        GAP,
        SEQUENCE,
    ),
    case("a burst", &["burst=800@after=1s"], ["800 messages at once", NOTHING], &[], &[]),
    case(
        "a clock that is set back",
        &["clock=-30s@after=1s"],
        ["`ts`, `sending_ts_ms` and Date jump back", NOTHING],
        &[],
        &[],
    ),
    case(
        "a clock that is set ahead",
        &["clock=30s@after=1s"],
        ["`ts`, `sending_ts_ms` and Date jump ahead", NOTHING],
        &[],
        &[],
    ),
    case(
        "a clock that is off for a while",
        &["clock=-30s@after=500ms", "cut@conn=1,after=1s", "clock=0s@after=1500ms"],
        ["cut, then HTTP 401 while the clock is off", "tries again; 20 in a row are final"],
        &["disconnected", "not_connected.."],
        CUT,
    ),
    case(
        "a message of 64 MiB",
        &["long=67108864@conn=1,frame=50"],
        ["the longest message allowed", "keeps it"],
        &[],
        &[],
    ),
    case(
        "a message above 64 MiB",
        &["long=67108865@conn=1,frame=50"],
        ["a message that is too long", RECONNECTS],
        LOST,
        CUT,
    ),
];

/// Short, so that the cases do not take long.
fn limits() -> Limits {
    Limits {
        connect: Duration::from_millis(1_500),
        ping: Duration::from_millis(400),
        silence: Duration::from_secs(3),
        snapshot: Duration::from_secs(2),
        lag: Duration::from_millis(900),
        backoff_first: Duration::from_millis(40),
        backoff_cap: Duration::from_millis(300),
        ..Limits::default()
    }
}

impl Case {
    async fn record(&self) -> Result<Recorded, String> {
        let faults = self.faults.iter().map(|spec| spec.parse().unwrap()).collect();
        let exchange = ExchangeConfig { rate: 800, faults, ..ExchangeConfig::default() };
        let mut stage = Stage::of(exchange).await.tickers(MARKETS);
        stage.config.limits = limits();
        let logs = stage.config.log_dir.clone();
        // What is not as it should be then is told below.
        let done = tokio::time::timeout(PATIENCE, async {
            while !self.is_done(&Story::read(&logs)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let done = async { drop(done.await) };
        let summary = stage.record(done).await.map_err(|error| format!("stopped: {error}"))?;
        Ok(Recorded { stage, summary })
    }

    fn check(&self, recorded: &Recorded) -> Result<(), String> {
        let Recorded { stage, summary } = recorded;
        let logs = &stage.config.log_dir;
        let story = Story::read(logs);
        let proof = verify(&Archive::open(logs).unwrap(), |_| {});
        let analyzer = Analyzer::new().unwrap();
        analyzer.load_logs(logs).unwrap();
        let gaps = analyzer.gaps().unwrap();
        let mut gaps: Vec<String> = gaps.iter().map(described).collect();
        gaps.sort();
        let ends = stage.config.tickers.iter().map(|ticker| {
            let book = analyzer.reconstruct_book(ticker.as_str()).unwrap();
            book.status.as_str().to_owned()
        });
        let dark: Vec<_> = ends.filter(|status| status == "stale").collect();
        let (commands, attempts) = story.busiest_second();
        for (what, right) in [
            (format!("the tape says {:?}", story.troubles), self.is_told(&story.troubles)),
            (
                format!("{} books are known after {} frames", story.known.len(), story.frames),
                self.is_done(&story),
            ),
            (format!("the gaps are {gaps:?}"), gaps == self.gaps),
            (format!("the archive is not sound: {:?}", proof.holes), !proof.is_damaged()),
            (
                format!("{} received, {} written", summary.received, summary.written),
                summary.received == summary.written + summary.rejected,
            ),
            (format!("{commands} commands in a second"), commands <= COMMANDS_PER_SECOND_MAX),
            (format!("{attempts} attempts in a second"), attempts <= ATTEMPTS_PER_SECOND_MAX),
            (format!("{} books stale at the end", dark.len()), dark.is_empty()),
        ] {
            if !right {
                return Err(what);
            }
        }
        Ok(())
    }

    /// Whether the troubles are those expected; `x..` is one or more of x. On a busy machine frames
    /// may come late for no fault of the exchange.
    fn is_told(&self, troubles: &[String]) -> bool {
        let wanted = |trouble: &&String| {
            self.tape.contains(&"lagging") || !["lagging", "caught_up"].contains(&trouble.as_str())
        };
        let troubles: Vec<&String> = troubles.iter().filter(wanted).collect();
        let mut rest = troubles.as_slice();
        for expected in self.tape {
            let name = expected.trim_end_matches('.');
            let same = rest.iter().take_while(|trouble| **trouble == name).count();
            let taken = if expected.ends_with("..") { same } else { same.min(1) };
            if taken == 0 {
                return false;
            }
            rest = &rest[taken..];
        }
        rest.is_empty()
    }

    /// Whether everything has struck and been got over.
    fn is_done(&self, story: &Story) -> bool {
        let timed = self.faults.iter().any(|spec| spec.contains("after="));
        let frames = if timed { TIMED_FRAMES } else { 0 };
        self.is_told(&story.troubles) && story.is_calm(MARKETS, CALM) && story.frames >= frames
    }

    fn row(&self) -> String {
        let faults: Vec<_> = self.faults.iter().map(|spec| format!("`{spec}`")).collect();
        let list = |items: &[&str], none: &str| match items {
            [] => none.to_owned(),
            items => items.join("; "),
        };
        let tape = list(self.tape, "nothing").replace("..", " (one or more)");
        let gaps = list(self.gaps, "none");
        let [name, wire, recorder] = [self.name, self.wire, self.recorder];
        format!("| {name} | {} | {wire} | {recorder} | {tape} | {gaps} |\n", faults.join(" "))
    }
}

fn described(gap: &kalshi_orderbook::analysis::GapRow) -> String {
    let witnesses = match (gap.declared, gap.found) {
        (true, true) => "declared and found",
        (true, false) => "declared",
        (false, true) => "found",
        (false, false) => "told by nobody",
    };
    format!("{}, {witnesses}", gap.kind)
}

/// `KALSHI_FAULT_CASE=NAME` runs one.
#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_told_and_got_over() {
    let only = std::env::var("KALSHI_FAULT_CASE").ok();
    let chosen = CASES.iter().filter(|case| only.as_ref().is_none_or(|name| name == case.name));
    let chosen: Vec<&Case> = chosen.collect();
    let mut failed = Vec::new();
    for cases in chosen.chunks(AT_ONCE) {
        // What is recorded should not wait for what is checked.
        let runs = join_all(cases.iter().map(|case| tokio::spawn(case.record()))).await;
        for (case, run) in cases.iter().zip(runs) {
            let run = run.unwrap_or_else(|panic| Err(panic.to_string()));
            let end = run.and_then(|recorded| case.check(&recorded));
            failed.extend(end.err().map(|what| format!("{}: {what}", case.name)));
        }
    }
    assert!(failed.is_empty(), "{} cases:\n{}", failed.len(), failed.join("\n"));
}

/// `KALSHI_WRITE_DOCS=1` brings the page up to date.
#[test]
fn the_page_on_faults_tells_every_case() {
    const START: &str = "|---|---|---|---|---|---|\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (head, rest) = page.split_once(START).unwrap();
    let (_, tail) = rest.split_once("\n\n").unwrap();
    let rows: String = CASES.iter().map(Case::row).collect();
    let right = format!("{head}{START}{rows}\n{tail}");
    if std::env::var_os("KALSHI_WRITE_DOCS").is_some() {
        std::fs::write(path, &right).unwrap();
        return;
    }
    assert!(page == right, "docs/faults.md is not up to date: KALSHI_WRITE_DOCS=1 writes it");
}
