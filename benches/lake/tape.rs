//! A tape that is the same at every run, in the shape of real traffic: bursts, levels near the
//! touch, sizes in hundredths, and a best price or size that changes with every fourth delta.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use fastrand::Rng;
use jiff::Timestamp;
use kalshi_orderbook::{
    book::{Book, Level},
    protocol::{Price, Side, Size},
    tape::Stamp,
};

/// 2026-05-11, midnight UTC.
const DAY_NS: i64 = 1_778_457_600_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;
/// A cent, in the units of a price.
const CENT: i64 = 100;
/// Deltas of a market until its price moves by a cent, on average.
const PACE: u32 = 25;
/// Changes after which a book has the depth it keeps.
const WARM_UP: usize = 2_000;

/// A market whose price walks, and its book.
pub(crate) struct Market {
    pub(crate) ticker: String,
    id: usize,
    /// What a YES is worth: bids stand below it, offers above.
    fair: i64,
    book: Book,
    pub(crate) deltas: usize,
    pub(crate) trades: usize,
    /// Changes of the best bid or ask.
    pub(crate) quotes: usize,
}

impl Market {
    pub(crate) fn new(ticker: String, id: usize, random: &mut Rng) -> Self {
        let fair = random.i64(30..70) * CENT;
        let mut market =
            Self { ticker, id, fair, book: Book::new(), deltas: 0, trades: 0, quotes: 0 };
        for _ in 0..WARM_UP {
            market.change(random);
        }
        market.quotes = 0;
        market
    }

    /// The next change of the book.
    fn change(&mut self, random: &mut Rng) -> (Side, Price, Size) {
        if random.u32(..PACE) == 0 {
            let step = if random.bool() { CENT } else { -CENT };
            self.fair = (self.fair + step).clamp(20 * CENT, 80 * CENT);
        }
        let side = if random.bool() { Side::Yes } else { Side::No };
        let limit = if side == Side::Yes { self.fair } else { 100 * CENT - self.fair };
        let best = self.book.best(side);
        let (price, size) = match best.filter(|(price, _)| i64::from(price.units()) >= limit) {
            // What the price has passed goes first.
            Some((price, size)) => (price, Size::from_units(-size.units())),
            None => {
                let cents = if random.u32(..3) == 0 { 1 } else { random.i64(2..30) };
                let tenths = if random.u32(..9) < 2 { random.i64(1..10) * CENT / 10 } else { 0 };
                let units = (limit - cents * CENT - tenths).max(CENT / 10);
                let price = Price::from_units(units).unwrap();
                let standing = self.book.levels(side).find(|level| level.0 == price);
                (price, resize(standing, random))
            }
        };
        let before = (self.book.yes_bid(), self.book.yes_ask());
        self.book.apply(side, price, size).unwrap();
        self.quotes += usize::from(before != (self.book.yes_bid(), self.book.yes_ask()));
        (side, price, size)
    }
}

/// More contracts at a level, or fewer where there are some.
fn resize(standing: Option<Level>, random: &mut Rng) -> Size {
    const USUAL: [i64; 12] = [1, 2, 5, 10, 25, 50, 100, 100, 151, 250, 400, 1_500];
    let more = match random.u32(..7) {
        0 => random.i64(1..20_000),
        _ => 100 * random.choice(USUAL).unwrap(),
    };
    Size::from_units(match standing {
        Some((_, size)) if random.bool() => -size.units().min(more),
        _ => more,
    })
}

/// A segment that is written frame by frame.
pub(crate) struct Tape {
    out: BufWriter<File>,
    random: Rng,
    event_us: i64,
    /// Mean time between two frames.
    gap_us: f64,
    pub(crate) recv_ns: i64,
    book_seq: u64,
    trade_seq: u64,
}

impl Tape {
    /// Begins a session's only segment, at an hour of the day, with a snapshot of each market.
    pub(crate) fn begin(
        folder: &Path,
        session: u64,
        hour: i64,
        gap_us: f64,
        markets: &[Market],
    ) -> Self {
        let start_ns = DAY_NS + hour * HOUR_NS;
        let session = format!("{session:012x}");
        let stamp = Stamp { start_ns, session: session.clone(), number: 0 };
        let path = folder.join(stamp.path()).with_extension("jsonl");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut tape = Self {
            out: BufWriter::new(File::create(path).unwrap()),
            random: Rng::with_seed(26),
            event_us: start_ns / 1_000,
            gap_us,
            recv_ns: start_ns,
            book_seq: 0,
            trade_seq: 0,
        };
        let count = markets.len();
        writeln!(tape.out, r#"{{"recv_ns":{start_ns},"event":"session","format":1,"session":"{session}","segment":0,"version":"0.1.0","env":"prod","host":"bench","config":{{}}}}"#).unwrap();
        writeln!(tape.out, r#"{{"recv_ns":{start_ns},"conn":1,"event":"connected","url":"wss://bench","markets":{count}}}"#).unwrap();
        for (sid, channel) in [(2, "orderbook_delta"), (3, "trade")] {
            tape.frame(&format!(
                r#"{{"type":"subscribed","id":1,"msg":{{"channel":"{channel}","sid":{sid}}}}}"#
            ));
        }
        for market in markets {
            tape.snapshot(market);
        }
        tape
    }

    fn frame(&mut self, frame: &str) {
        let recv_ns = self.recv_ns;
        writeln!(self.out, r#"{{"recv_ns":{recv_ns},"conn":1,"frame":{frame}}}"#).unwrap();
    }

    fn snapshot(&mut self, market: &Market) {
        let side = |side| {
            let levels = market.book.levels(side).map(|(p, s)| format!(r#"["{p}","{s}"]"#));
            levels.collect::<Vec<_>>().join(",")
        };
        self.book_seq += 1;
        self.frame(&format!(
            r#"{{"type":"orderbook_snapshot","sid":2,"seq":{},"msg":{{"market_ticker":"{}","market_id":"{}","yes_dollars_fp":[{}],"no_dollars_fp":[{}]}}}}"#,
            self.book_seq, market.ticker, id(market.id), side(Side::Yes), side(Side::No)
        ));
    }

    pub(crate) fn delta(&mut self, market: &mut Market) {
        let (side, price, change) = market.change(&mut self.random);
        market.deltas += 1;
        let (ts, ts_ms) = self.tick();
        self.book_seq += 1;
        self.frame(&format!(
            r#"{{"type":"orderbook_delta","sid":2,"seq":{},"msg":{{"market_ticker":"{}","market_id":"{}","price_dollars":"{price}","delta_fp":"{change}","side":"{side}","ts":"{ts}","ts_ms":{ts_ms}}}}}"#,
            self.book_seq, market.ticker, id(market.id)
        ));
    }

    /// A trade at the touch; the book does not follow it.
    pub(crate) fn trade(&mut self, market: &mut Market) {
        let taker = if self.random.bool() { Side::Yes } else { Side::No };
        let level = if taker == Side::Yes { market.book.yes_ask() } else { market.book.yes_bid() };
        let price = level.map_or_else(|| Price::from_units(market.fair).unwrap(), |level| level.0);
        let size = resize(None, &mut self.random);
        let trade_id = trade_id(&mut self.random);
        market.trades += 1;
        let (_, ts_ms) = self.tick();
        self.trade_seq += 1;
        let seconds = ts_ms / 1_000;
        self.frame(&format!(
            r#"{{"type":"trade","sid":3,"seq":{},"msg":{{"trade_id":"{trade_id}","market_ticker":"{}","yes_price_dollars":"{price}","no_price_dollars":"{}","count_fp":"{size}","taker_side":"{taker}","ts":{seconds},"ts_ms":{ts_ms}}}}}"#,
            self.trade_seq, market.ticker, price.complement()
        ));
    }

    pub(crate) fn end(mut self) {
        self.out.flush().unwrap();
    }

    /// Goes on in time, but for a third of frames; the exchange's time, as text and in ms.
    fn tick(&mut self) -> (Timestamp, i64) {
        if self.random.u32(..3) > 0 {
            let gap_us = -(1.0 - self.random.f64()).ln() * self.gap_us * 1.5;
            self.event_us += gap_us as i64;
        }
        let way_ns = 2_000_000 + self.random.i64(0..5_000_000);
        self.recv_ns = self.recv_ns.max(self.event_us * 1_000 + way_ns);
        (Timestamp::from_microsecond(self.event_us).unwrap(), self.event_us / 1_000)
    }
}

/// A market's id.
fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// A trade's.
fn trade_id(random: &mut Rng) -> String {
    let (high, low) = (random.u64(..), random.u64(..));
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

/// A day's recording: sessions of two markets each, one after the other, with few trades.
pub(crate) fn day(folder: &Path, deltas: usize) {
    const SESSIONS: usize = 8;
    const HOURS: i64 = 2;
    let each = deltas / SESSIONS;
    let gap_us = HOURS as f64 * 3.6e9 * 0.9 / each as f64;
    for session in 0..SESSIONS {
        let mut random = Rng::with_seed(session as u64);
        let mut markets: Vec<_> = (0..2)
            .map(|n| {
                let mut ticker = String::new();
                write!(ticker, "KXBENCH-26MAY11{session:02}-T{n}").unwrap();
                Market::new(ticker, session * 2 + n, &mut random)
            })
            .collect();
        let hour = HOURS * session as i64;
        let mut tape = Tape::begin(folder, session as u64 + 1, hour, gap_us, &markets);
        for n in 0..each {
            let market = random.usize(..markets.len());
            tape.delta(&mut markets[market]);
            if n % 50 == 0 {
                tape.trade(&mut markets[market]);
            }
        }
        tape.end();
    }
}
