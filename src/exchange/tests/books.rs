//! What is told of the books equals the orders behind them.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::client::Books;
use crate::exchange::BookImage;
use crate::exchange::session::{Frame, Session};
use crate::exchange::world::{World, WorldConfig};
use crate::protocol::Side;

const START_US: i64 = 1_790_000_000_000_000;

fn subscribe(tickers: &[String]) -> String {
    let tickers = serde_json::to_string(tickers).unwrap();
    format!(
        r#"{{"id":1,"cmd":"subscribe","params":{{"market_tickers":{tickers},
        "channels":["orderbook_delta","trade","ticker","market_lifecycle_v2"]}}}}"#
    )
}

/// A market, its one client, and the time.
struct Pit {
    world: World,
    session: Session,
    frames: Vec<Frame>,
    now_us: i64,
}

impl Pit {
    fn new(config: WorldConfig) -> Self {
        let world = World::new(config, START_US);
        Self { world, session: Session::default(), frames: Vec::new(), now_us: START_US }
    }

    fn say(&mut self, text: &str) {
        self.session.command(text, &mut self.world, (self.now_us, None), &mut self.frames);
        self.tell();
    }

    fn pass(&mut self, us: i64) {
        self.now_us += us;
        self.world.advance(self.now_us);
        self.tell();
    }

    fn tell(&mut self) {
        for event in self.world.take_events() {
            self.session.event(&event, &self.world, self.now_us, &mut self.frames);
        }
    }

    fn deltas(&mut self) -> Vec<Value> {
        let frames = self.frames.drain(..).map(|f| serde_json::from_str::<Value>(&f.text).unwrap());
        frames.filter(|frame| frame["type"] == "orderbook_delta").collect()
    }
}

#[test]
fn applying_every_frame_gives_the_order_level_truth_at_any_moment() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let life = Duration::from_millis(200)..=Duration::from_secs(4);
        let empty_after = Duration::from_millis(100)..=Duration::from_secs(1);
        let market_life = (seed % 2 == 1).then_some(life);
        let mut pit = Pit::new(WorldConfig { seed, rate: 5_000, market_life, empty_after });
        let tickers: Vec<_> = (0..=seed % 7).map(|n| format!("KXTEST-26NOV22-T{n}")).collect();
        let mut books = Books::default();
        pit.say(&subscribe(&tickers));
        for _ in 0..100 {
            pit.pass(rng.i64(0..60_000));
            if rng.u8(0..10) == 0 {
                let ticker = rng.choice(&tickers).unwrap();
                pit.say(&format!(
                    r#"{{"id":9,"cmd":"update_subscription","params":{{"sid":1,
                    "action":"get_snapshot","market_tickers":["{ticker}"]}}}}"#
                ));
            }
            for frame in pit.frames.drain(..) {
                let value: Value = serde_json::from_str(&frame.text).unwrap();
                assert_eq!((frame.sid, frame.seq), (value["sid"].as_u64(), value["seq"].as_u64()));
                books.apply(&frame.text);
            }
            for truth in pit.world.books() {
                assert_eq!(books.book(&truth.ticker), truth, "seed {seed}");
            }
            let told: BTreeMap<_, _> = books.seqs.iter().map(|(a, b)| (*a, *b)).collect();
            for position in pit.session.positions(1, &pit.world) {
                let seq = told.get(&position.sid).copied().unwrap_or(0);
                assert_eq!(seq, position.seq, "seed {seed} {}", position.channel);
            }
        }
    }
}

#[test]
fn traffic_has_the_habits_of_the_real_exchange() {
    let mut pit = Pit::new(WorldConfig { seed: 3, rate: 10_000, ..Default::default() });
    let tickers: Vec<_> = (0..50).map(|n| format!("KXTEST-26NOV22-T{n}")).collect();
    pit.say(&subscribe(&tickers));
    let grids: Vec<_> = pit.world.markets().iter().map(|m| m.grid().label()).collect();
    for label in ["linear_cent", "deci_cent", "tapered_deci_cent", "center_deci_edge_centi_cent"] {
        assert!(grids.contains(&label), "{label}");
    }
    pit.frames.clear();
    for _ in 0..500 {
        pit.pass(20_000);
    }
    let sent = pit.frames.len();
    assert!((95_000..=105_000).contains(&sent), "{sent} messages in ten seconds");
    let deltas = pit.deltas();
    let count = |test: &dyn Fn(&Value) -> bool| deltas.iter().filter(|d| test(d)).count();
    let percent = |n: usize| n * 100 / deltas.len();

    let fractional = count(&|d| !d["msg"]["delta_fp"].as_str().unwrap().ends_with(".00"));
    assert!((10..=18).contains(&percent(fractional)), "{} % fractional", percent(fractional));

    let mut last = BTreeMap::new();
    let mut shared = 0;
    let mut busy = BTreeMap::new();
    for delta in &deltas {
        let ticker = delta["msg"]["market_ticker"].as_str().unwrap();
        let ts: jiff::Timestamp = delta["msg"]["ts"].as_str().unwrap().parse().unwrap();
        assert_eq!(Some(ts.as_millisecond()), delta["msg"]["ts_ms"].as_i64());
        let before = last.insert(ticker, ts);
        assert!(before.is_none_or(|before| before <= ts), "time falls");
        shared += usize::from(before == Some(ts));
        *busy.entry(ticker).or_insert(0_usize) += 1;
    }
    assert!((25..=45).contains(&percent(shared)), "{} % share a time", percent(shared));
    let mut busy: Vec<_> = busy.into_values().collect();
    busy.sort_unstable();
    assert!(busy[busy.len() - 1] > 10 * busy[busy.len() / 2], "{busy:?}");
}

#[test]
fn a_book_crosses_only_inside_a_burst() {
    let mut pit = Pit::new(WorldConfig { seed: 5, rate: 2_000, ..Default::default() });
    pit.say(&subscribe(&["KXTEST-26NOV22-T1".to_owned()]));
    let mut books = Books::default();
    let mut crossed = 0;
    let is_crossed = |image: &BookImage| match (image.yes.first(), image.no.first()) {
        (Some((yes, _)), Some((no, _))) => yes.units() + no.units() >= 10_000,
        _ => false,
    };
    for _ in 0..2_000 {
        pit.pass(1_000);
        for frame in pit.frames.drain(..) {
            books.apply(&frame.text);
            crossed += usize::from(is_crossed(&books.book("KXTEST-26NOV22-T1")));
        }
        assert!(!is_crossed(&pit.world.books()[0]));
    }
    assert!(crossed > 10, "{crossed}");
}

#[test]
fn a_market_closes_in_one_burst_and_one_or_two_empty_snapshots_follow() {
    let mut counts: Vec<_> = (0..20).map(empty_snapshots_after_close).collect();
    counts.sort_unstable();
    counts.dedup();
    assert_eq!(counts, [1, 2]);
}

fn empty_snapshots_after_close(seed: u64) -> usize {
    let mut pit = Pit::new(WorldConfig { seed, rate: 1_000, ..Default::default() });
    let ticker = "KXTEST-26NOV22-T1";
    pit.say(&subscribe(&[ticker.to_owned()]));
    pit.pass(100_000);
    let book = pit.world.books().remove(0);
    pit.frames.clear();
    pit.world.set_rate(0);
    pit.world.close(ticker);
    pit.pass(1_000);
    let burst = pit.deltas();
    assert!(burst.len() >= book.yes.len() + book.no.len() && !burst.is_empty());
    assert!(burst.iter().all(|delta| delta["msg"]["ts"] == burst[0]["msg"]["ts"]));
    let book = pit.world.books().remove(0);
    assert!(book.yes.is_empty() && book.no.is_empty());

    pit.pass(499_000);
    assert!(pit.frames.is_empty(), "nothing within half a second");
    for _ in 0..40 {
        pit.pass(1_000_000);
    }
    let texts = pit.frames.iter().map(|frame| serde_json::from_str(&frame.text).unwrap());
    let (snapshots, steps): (Vec<Value>, Vec<_>) =
        texts.partition(|frame: &Value| frame["type"] == "orderbook_snapshot");
    assert!(snapshots.iter().all(|frame| frame["msg"].as_object().unwrap().len() == 2));
    let steps: Vec<_> = steps.iter().map(|frame| frame["msg"]["event_type"].clone()).collect();
    assert_eq!(steps, ["determined", "settled"]);
    snapshots.len()
}

#[test]
fn a_market_is_determined_by_seed_and_ticker_alone() {
    let book = |seed, others: &[&str]| {
        let mut world = World::new(WorldConfig { seed, ..Default::default() }, START_US);
        for other in others {
            world.open(other);
        }
        let index = world.open("KXTEST-1");
        let market = world.market(index).unwrap();
        (market.book(), market.id().to_owned(), market.result() == Side::Yes)
    };
    assert_eq!(book(1, &[]), book(1, &["KXA-1", "KXB-1"]));
    assert_ne!(book(1, &[]).0, book(2, &[]).0);
    assert_eq!(book(1, &[]).1, book(2, &[]).1);
}

/// Not a test of anything but time: `cargo test --release -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "a measurement is there to be read")]
fn speed_of_the_synthetic_market() {
    let mut pit = Pit::new(WorldConfig { seed: 3, rate: 1_000_000, ..Default::default() });
    let tickers: Vec<_> = (0..1_000).map(|n| format!("KXTEST-26NOV22-T{n}")).collect();
    pit.say(&subscribe(&tickers));
    pit.frames.clear();
    let (start, mut sent) = (std::time::Instant::now(), 0);
    for _ in 0..1_000 {
        pit.pass(2_000);
        sent += pit.frames.len();
        pit.frames.clear();
    }
    let passed = start.elapsed();
    let rate = u128::try_from(sent).unwrap() * 1_000_000 / passed.as_micros();
    eprintln!("{sent} messages in {passed:?}: {rate} messages/s");
}
