//! A case is recorded until it is over, and what is on the tape then compared with what should be.

use std::time::Duration;

use kalshi_orderbook::{
    analysis::{Analyzer, GapRow},
    exchange::ExchangeConfig,
    ingestor::{Limits, Summary},
    tape::{Archive, verify},
};

use super::Case;
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

pub(super) struct Recorded {
    stage: Stage,
    summary: Summary,
}

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
    pub(super) async fn record(&self) -> Result<Recorded, String> {
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

    pub(super) fn check(&self, recorded: &Recorded) -> Result<(), String> {
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
}

fn described(gap: &GapRow) -> String {
    let witnesses = match (gap.declared, gap.found) {
        (true, true) => "declared and found",
        (true, false) => "declared",
        (false, true) => "found",
        (false, false) => "told by nobody",
    };
    format!("{}, {witnesses}", gap.kind)
}
