//! Each question asked in Rust, which reads the lake itself, and in SQL, which has DuckDB do it:
//! over made recordings with holes, several recorders and several lakes, the answers are the same.

use std::{num::NonZero, path::Path};

use fastrand::Rng;
use kalshi_orderbook::{
    analysis::{
        Analyzer, Error, Options, Range, Selection, Status, Table,
        arrow::{
            array::{AsArray, RecordBatch},
            datatypes::{Float64Type, Int64Type},
        },
    },
    protocol::Side,
};

use crate::tape::{A, B, Tape, at, delta, snapshot, trade};

const SECOND: i64 = 1_000_000_000;

/// A recorder that looks on for a while, and loses a frame now and then.
fn recorder(session: &str, random: &mut Rng) -> Tape {
    let mut tape = Tape::session(session);
    let mut time = random.i64(0..40);
    for conn in 1..=random.u32(1..4) {
        tape = tape.connected(time, conn);
        let mut seq = 0;
        let (mut trades, mut seen) = (0, Vec::new());
        for _ in 0..random.u32(0..60) {
            time += random.i64(0..4);
            let market = if random.u8(0..3) == 0 { B } else { A };
            seq += if random.u8(0..30) == 0 { 2 } else { 1 };
            let (price, size) = (random.u32(30..60), random.u32(1..900));
            let (yes, no) = (format!("0.{price}00"), format!("0.{}00", random.u32(30..45)));
            let contracts = format!("{}.{:02}", size / 100, size % 100);
            tape = match random.u8(0..10) {
                0 if random.bool() => tape.frame(time, conn, snapshot(2, seq, market, &[], &[])),
                0 | 1 => tape.frame(
                    time,
                    conn,
                    snapshot(2, seq, market, &[(&yes, "2.50")], &[(&no, &contracts)]),
                ),
                2 | 3 => {
                    seq -= 1;
                    trades += 1;
                    // Recorders share those of a second, and no connection has one twice.
                    let id = format!("t{time}-{}", seen.iter().filter(|t| **t == time).count());
                    seen.push(time);
                    let more = ["", r#","is_block_trade":true"#][usize::from(random.u8(0..9) == 0)];
                    tape.frame(time, conn, trade(3, trades, market, &id, &yes, &contracts, more))
                }
                _ => {
                    let side = if random.bool() { "yes" } else { "no" };
                    tape.frame(time, conn, delta(2, seq, market, side, &no, &contracts))
                }
            };
            if random.u8(0..25) == 0 {
                time += 86_400 - random.i64(0..50);
            }
        }
        time += 1;
        tape = tape.event(time, conn, r#""disconnected","cause":"reset by peer""#);
        time += random.i64(1..30);
    }
    tape
}

/// A range in, around or beside what is recorded, or open at an end.
fn asked_range(random: &mut Rng) -> Range {
    let mut ends = [random.i64(-50..250), random.i64(-50..250)].map(at);
    ends.sort_unstable();
    let [from_ns, to_ns] = ends.map(|end| random.bool().then_some(end));
    Range { from_ns, to_ns }
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn numbers(batches: &[RecordBatch], column: usize) -> Vec<Option<f64>> {
    let column = |batch: &RecordBatch| {
        batch.column(column).as_primitive::<Float64Type>().iter().collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

fn whole(batches: &[RecordBatch], column: usize) -> Vec<Option<i64>> {
    let column = |batch: &RecordBatch| {
        batch.column(column).as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

fn texts(batches: &[RecordBatch], column: usize) -> Vec<Option<String>> {
    let column = |batch: &RecordBatch| {
        let texts = batch.column(column).as_string::<i32>().iter();
        texts.map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

#[track_caller]
fn near(found: &[Option<f64>], expected: &[Option<f64>], of: &str) {
    let same = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * (1.0 + b.abs()),
        _ => a == b,
    };
    let all = found.len() == expected.len() && found.iter().zip(expected).all(same);
    assert!(all, "{of}: {found:?} is not {expected:?}");
}

/// The arguments of a macro.
fn asked(ticker: &str, range: Range, every_ns: Option<i64>) -> String {
    let time = |ns: Option<i64>| ns.map_or("NULL".into(), |ns| format!("make_timestamp_ns({ns})"));
    let every = every_ns.map_or("NULL".into(), |ns| format!("INTERVAL '{} seconds'", ns / SECOND));
    format!("'{ticker}', {}, {}, {every}", time(range.from_ns), time(range.to_ns))
}

fn compare_spread(analyzer: &Analyzer, ticker: &str, range: Range, every: Option<i64>) -> usize {
    let bars = analyzer.spread(ticker, range, every).unwrap().rows;
    let sql = format!(
        "SELECT epoch_ns(bar), live_s, two_sided_s, mean_cents, min_cents::VARCHAR,
                max_cents::VARCHAR, mean_bps_of_mid, quotes
         FROM spread_bars({})",
        asked(ticker, range, every)
    );
    let found = analyzer.query(&sql).unwrap();
    assert_eq!(rows(&found), bars.len(), "{sql}");
    assert_eq!(whole(&found, 0), bars.iter().map(|b| b.bar.map(|n| n.0)).collect::<Vec<_>>());
    near(&bars.iter().map(|b| Some(b.live_s)).collect::<Vec<_>>(), &numbers(&found, 1), "live");
    let two_sided: Vec<_> = bars.iter().map(|b| Some(b.two_sided_s)).collect();
    near(&two_sided, &numbers(&found, 2), "two-sided");
    near(&bars.iter().map(|b| b.mean_cents).collect::<Vec<_>>(), &numbers(&found, 3), &sql);
    assert_eq!(texts(&found, 4), bars.iter().map(|b| b.min_cents.clone()).collect::<Vec<_>>());
    assert_eq!(texts(&found, 5), bars.iter().map(|b| b.max_cents.clone()).collect::<Vec<_>>());
    near(&bars.iter().map(|b| b.mean_bps_of_mid).collect::<Vec<_>>(), &numbers(&found, 6), &sql);
    let quotes: Vec<_> = bars.iter().map(|b| Some(b.quotes)).collect();
    assert_eq!(whole(&found, 7), quotes, "{sql}");
    bars.len()
}

fn compare_vwap(analyzer: &Analyzer, ticker: &str, range: Range, every: Option<i64>) -> usize {
    let bars = analyzer.vwap(ticker, range, every).unwrap().rows;
    let sql = format!(
        "SELECT epoch_ns(bar), vwap, volume::VARCHAR, trades, block_volume::VARCHAR, block_trades,
                low::VARCHAR, high::VARCHAR
         FROM vwap_bars({})",
        asked(ticker, range, every)
    );
    let found = analyzer.query(&sql).unwrap();
    assert_eq!(whole(&found, 0), bars.iter().map(|b| b.bar.map(|n| n.0)).collect::<Vec<_>>());
    near(&bars.iter().map(|b| b.vwap).collect::<Vec<_>>(), &numbers(&found, 1), &sql);
    assert_eq!(texts(&found, 2), bars.iter().map(|b| Some(b.volume.clone())).collect::<Vec<_>>());
    assert_eq!(whole(&found, 3), bars.iter().map(|b| Some(b.trades)).collect::<Vec<_>>());
    let block: Vec<_> = bars.iter().map(|b| Some(b.block_volume.clone())).collect();
    assert_eq!(texts(&found, 4), block);
    assert_eq!(whole(&found, 5), bars.iter().map(|b| Some(b.block_trades)).collect::<Vec<_>>());
    assert_eq!(texts(&found, 6), bars.iter().map(|b| b.low.clone()).collect::<Vec<_>>());
    assert_eq!(texts(&found, 7), bars.iter().map(|b| b.high.clone()).collect::<Vec<_>>());
    bars.len()
}

/// Of a market by its name, and of what all that is recorded of a kind lies around.
fn compare_holes(analyzer: &Analyzer, ticker: &str, range: Range) -> usize {
    let crossed = |markets: &str, table| {
        let selection = Selection { markets: Some(markets.to_owned()), range };
        let mut holes = analyzer.crossed(&selection, table).unwrap();
        holes.retain(|hole| hole.ticker == ticker);
        holes
    };
    let book = analyzer.spread(ticker, range, None).unwrap().holes;
    let trades = analyzer.vwap(ticker, range, None).unwrap().holes;
    for (table, expected) in [(Table::Bbo, &book), (Table::Trades, &trades)] {
        assert_eq!(&crossed(ticker, table), expected, "{table:?} {range:?}");
        let of_many = crossed("*", table);
        assert!(of_many.iter().all(|hole| expected.contains(hole)), "{of_many:?} {expected:?}");
    }
    book.len() + trades.len()
}

/// At a depth of one level, the best bid and ask tell the imbalance.
fn compare_imbalance(analyzer: &Analyzer, ticker: &str) -> usize {
    let Some(bar) = analyzer.imbalance(ticker, Range::default(), None, 1).unwrap().rows.pop()
    else {
        return 0;
    };
    let sql = format!(
        "WITH stood AS (
             SELECT q.bid, q.ask, coalesce(q.bid_size, 0)::DOUBLE AS yes,
                    coalesce(q.ask_size, 0)::DOUBLE AS no,
                    least(q.at_ns + q.stood_ns, l.to_ns) - greatest(q.at_ns, l.from_ns) AS ns
             FROM lake.quote q JOIN lake.live('{ticker}') l USING (span)
             WHERE q.ticker = '{ticker}')
         SELECT sum((yes - no) / (yes + no) * ns) / sum(ns), sum(ns)::DOUBLE / 1e9
         FROM stood WHERE ns > 0 AND yes + no > 0"
    );
    let found = analyzer.query(&sql).unwrap();
    near(&[bar.mean], &numbers(&found, 0), &sql);
    near(&[Some(bar.live_s)], &numbers(&found, 1), &sql);
    1
}

fn compare_book(analyzer: &Analyzer, ticker: &str, at_ns: i64) -> usize {
    let sql = format!(
        "SELECT side::VARCHAR, price::VARCHAR, size::VARCHAR
         FROM book_at('{ticker}', {at_ns})"
    );
    let found = analyzer.query(&sql).unwrap();
    let levels: Vec<_> = match analyzer.reconstruct_book_at(ticker, at_ns) {
        // SQL has no rows where the book is not known.
        Err(Error::TooEarly { .. }) => Vec::new(),
        Ok(found) if matches!(found.status, Status::Stale { .. }) => Vec::new(),
        found => {
            let book = found.unwrap().book;
            let of = |side| book.levels(side).map(move |(p, s)| (side, p, s)).collect::<Vec<_>>();
            [Side::Yes, Side::No].into_iter().flat_map(of).collect()
        }
    };
    let text = |text: String| Some(text);
    let column = |n| texts(&found, n);
    assert_eq!(
        column(0),
        levels.iter().map(|l| text(l.0.to_string())).collect::<Vec<_>>(),
        "{sql}"
    );
    assert_eq!(
        column(1),
        levels.iter().map(|l| text(l.1.to_string())).collect::<Vec<_>>(),
        "{sql}"
    );
    assert_eq!(
        column(2),
        levels.iter().map(|l| text(l.2.to_string())).collect::<Vec<_>>(),
        "{sql}"
    );
    levels.len()
}

#[test]
fn rust_and_sql_agree_on_everything() {
    let mut counts = [0; 5];
    for seed in 0..25 {
        let mut random = Rng::with_seed(seed);
        let analyzer = Analyzer::new().unwrap();
        let shared = recorder("s1", &mut random);
        let first = Tape::new().line(shared.text()).file("a.jsonl");
        let second = recorder("s2", &mut random).file("b.jsonl");
        // The second folder has a session of the first, too.
        std::fs::write(second.path().join("a.jsonl"), shared.text()).unwrap();
        analyzer.load_logs(first.path()).unwrap();
        analyzer.load_logs(second.path()).unwrap();
        for ticker in [A, B] {
            if analyzer.markets().unwrap().iter().all(|market| market.ticker != ticker) {
                continue;
            }
            for _ in 0..4 {
                let range = asked_range(&mut random);
                let every = random.bool().then(|| random.i64(1..50) * SECOND);
                counts[0] += compare_spread(&analyzer, ticker, range, every);
                counts[1] += compare_vwap(&analyzer, ticker, range, every);
                let has_book = analyzer.reconstruct_book(ticker).is_ok();
                if has_book {
                    counts[2] += compare_book(&analyzer, ticker, at(random.i64(0..200)));
                }
            }
            counts[4] += compare_holes(&analyzer, ticker, asked_range(&mut random));
            counts[3] += compare_imbalance(&analyzer, ticker);
        }
    }
    assert!(counts.iter().all(|count| *count > 30), "{counts:?}");
}

/// Everything that can be asked of some real recordings, as text, with so many threads.
fn answers(logs: &Path, threads: usize) -> Vec<String> {
    let lake = tempfile::tempdir().unwrap();
    let threads = NonZero::new(threads);
    let analyzer = Analyzer::with(Options { threads, ..Options::default() });
    analyzer.load(logs, Some(lake.path()), &|_, _| {}).unwrap();
    let mut answers = Vec::new();
    for table in ["bbo", "book_events", "ticker_data", "trades", "spans", "gaps", "coverage"] {
        let sql =
            format!("SELECT count(*)::VARCHAR, bit_xor(hash(r::VARCHAR))::VARCHAR FROM {table} r");
        let found = analyzer.query(&sql).unwrap();
        answers.push(format!("{table} {:?} {:?}", texts(&found, 0), texts(&found, 1)));
    }
    for market in analyzer.markets().unwrap() {
        let (ticker, range) = (&market.ticker, Range::default());
        answers.push(format!("{:?}", analyzer.reconstruct_book(ticker).ok()));
        answers.push(format!("{:?}", analyzer.spread(ticker, range, Some(7 * SECOND)).unwrap()));
        answers.push(format!("{:?}", analyzer.vwap(ticker, range, Some(7 * SECOND)).unwrap()));
        answers.push(format!("{:?}", analyzer.imbalance(ticker, range, None, 5).unwrap()));
        answers.push(format!("{market:?}"));
    }
    answers
}

#[test]
fn the_number_of_threads_changes_no_answer() {
    let mut random = Rng::with_seed(31);
    let folder = tempfile::tempdir().unwrap();
    for session in 0..6 {
        let tape = recorder(&format!("s{session}"), &mut random);
        std::fs::write(folder.path().join(format!("{session}.jsonl")), tape.text()).unwrap();
    }
    let real =
        std::env::var_os("KALSHI_REAL_DATA").map(|data| Path::new(&data).join("frames-2026"));
    for logs in [Some(folder.path()), real.as_deref()].into_iter().flatten() {
        let one = answers(logs, 1);
        assert!(one.len() > 12, "{one:?}");
        for threads in [2, 8] {
            assert_eq!(answers(logs, threads), one, "{threads} threads");
        }
    }
}
