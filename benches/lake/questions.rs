//! Questions over a million rows of one market: in process, as a process, and asked of others.

use std::{fs, path::Path, time::Instant};

use fastrand::Rng;
use kalshi_orderbook::{
    analysis::{Range, arrow::array::Int64Array},
    protocol::Side,
};

use super::{
    run::{self, Rival},
    tape::{Market, Tape},
};

/// How often a question is asked.
const ASKED: usize = 30;
const BAR_MS: f64 = 20.0;
const BAR_PROCESS_MS: f64 = 60.0;

/// A question's name, the rows it is over, and how it is asked the n-th time.
type Question<'a> = (&'a str, Option<i64>, &'a dyn Fn(i64));

/// What was written of the market that is asked for.
struct Written {
    ticker: String,
    /// Before this, the book had as many changes as rows were wanted.
    events_to: i64,
    from_ns: i64,
    to_ns: i64,
}

/// `rows` quotes and trades of one market, and the deltas that make the quotes, beside so many
/// other markets with half as many deltas together.
fn write(logs: &Path, rows: usize, others: usize) -> Written {
    let mut random = Rng::with_seed(11);
    let name = |n| format!("KXBENCH-26MAY11-T{n:02}");
    let mut markets: Vec<_> = (0..=others).map(|n| Market::new(name(n), n, &mut random)).collect();
    let gap_us = 20.0 * 3.6e9 / (rows as f64 * 8.0);
    let mut tape = Tape::begin(logs, 1, 0, gap_us, &markets);
    let (from_ns, mut events_to) = (tape.recv_ns, 0);
    while markets[0].quotes < rows {
        tape.delta(&mut markets[0]);
        if markets[0].deltas == rows {
            events_to = tape.recv_ns + 1;
        }
        if markets[0].trades < rows && markets[0].deltas % 3 == 0 {
            tape.trade(&mut markets[0]);
        }
        if others > 0 && random.bool() {
            tape.delta(&mut markets[random.usize(1..=others)]);
        }
    }
    while markets[0].trades < rows {
        tape.trade(&mut markets[0]);
    }
    let to_ns = tape.recv_ns;
    tape.end();
    Written { ticker: name(0), events_to, from_ns, to_ns }
}

pub(crate) fn run(
    rows: usize,
    others: &[usize],
    scratch: &Path,
    python: Option<&Path>,
    rounds: usize,
) {
    for &others in others {
        let [logs, lake] = ["logs", "lake"].map(|name| scratch.join(format!("{name}-{others}")));
        let written = write(&logs, rows, others);
        run::run(&mut run::kalshi(&logs, &lake, &["compact"]));
        println!("one market of {rows} quotes and trades, {others} others beside it");
        ask(&written, &logs, &lake);
        if let Some(python) = python {
            ask_rivals(&written, &logs, &lake, python, rounds);
        }
        fs::remove_dir_all(logs).unwrap();
    }
}

fn ask(written: &Written, logs: &Path, lake: &Path) {
    let Written { ticker, events_to, .. } = written;
    let start = Instant::now();
    let analyzer = run::open(logs, lake);
    println!("opened in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let all = Range::default();
    let first = Range { from_ns: None, to_ns: Some(*events_to) };
    let rows = |sql: &str| {
        let batches = analyzer.query(&format!("SELECT count(*) FROM {sql}")).unwrap();
        let counts = batches[0].column(0).clone();
        counts.as_any().downcast_ref::<Int64Array>().unwrap().value(0)
    };
    let of = format!("WHERE ticker = '{ticker}'");
    let events = format!("book_events {of} AND ts_recv < make_timestamp_ns({events_to})");
    let step = (written.to_ns - written.from_ns) / ASKED as i64;
    let questions: [Question<'_>; 4] = [
        ("spread", Some(rows(&format!("bbo {of}"))), &|_| {
            assert_eq!(analyzer.spread(ticker, all, None).unwrap().rows.len(), 1);
        }),
        ("vwap", Some(rows(&format!("trades {of}"))), &|_| {
            assert_eq!(analyzer.vwap(ticker, all, None).unwrap().rows.len(), 1);
        }),
        ("imbalance, 5 levels", Some(rows(&events)), &|_| {
            assert_eq!(analyzer.imbalance(ticker, first, None, 5).unwrap().rows.len(), 1);
        }),
        ("book at an instant", None, &|nth| {
            let at = written.from_ns + step * nth + step / 2;
            assert!(!analyzer.reconstruct_book_at(ticker, at).unwrap().book.is_empty());
        }),
    ];
    println!(
        "{:<22}{:>10}{:>14}{:>12}{:>10}{:>8}",
        "", "rows", "first time ms", "median ms", "least ms", "bar"
    );
    for (name, rows, question) in questions {
        let times: Vec<f64> = (0..ASKED)
            .map(|nth| {
                let start = Instant::now();
                question(nth as i64);
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let (rows, first) = (rows.map_or("-".to_owned(), |rows| rows.to_string()), times[0]);
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        let median = run::median(times);
        let met = if median < BAR_MS { "met" } else { "MISSED" };
        println!("{name:<22}{rows:>10}{first:>14.1}{median:>12.1}{least:>10.1}{met:>8}");
    }
    let times = (0..ASKED).map(|nth| {
        let at = (written.from_ns + step * nth as i64 + step / 2).to_string();
        let arguments = ["analyze", "book", ticker, "--at", &at, "--format", "json"];
        run::run(&mut run::kalshi(logs, lake, &arguments)).seconds * 1e3
    });
    let median = run::median(times.collect());
    let met = if median < BAR_PROCESS_MS { "met" } else { "MISSED" };
    println!(
        "{:<22}{:>10}{:>14}{median:>12.1}{:>10}{met:>8}",
        "book, whole process", "-", "-", "-"
    );
    println!("bars: {BAR_MS} ms in process, {BAR_PROCESS_MS} ms as a process");
}

/// The same of JSON lines, where that can be asked without replaying books; the answers must agree.
fn ask_rivals(written: &Written, logs: &Path, lake: &Path, python: &Path, rounds: usize) {
    let at = (written.from_ns + written.to_ns) / 2;
    let analyzer = run::open(logs, lake);
    let book = analyzer.reconstruct_book_at(&written.ticker, at).unwrap().book;
    let levels = [Side::Yes, Side::No].into_iter().flat_map(|side| book.levels(side));
    let contracts = levels.map(|(_, size)| size.units()).sum::<i64>() as f64 / 100.0;
    let vwap = analyzer.vwap(&written.ticker, Range::default(), None).unwrap().rows[0].vwap;
    let rivals = [
        Rival::new("DuckDB over JSON lines", "questions_duckdb.py", "duckdb"),
        Rival::new("polars over JSON lines", "questions_polars.py", "polars"),
    ];
    for rival in rivals.into_iter().filter(|rival| rival.is_there(python)) {
        for (question, ours) in [("vwap", vwap.unwrap()), ("book", contracts)] {
            let times = (0..rounds).map(|_| {
                let mut command = rival.command(python);
                command.args([question, &written.ticker, &at.to_string()]).arg(logs);
                let run = run::run(&mut command);
                let (answer, seconds) = run.said.trim().split_once(' ').unwrap();
                let answer: f64 = answer.parse().unwrap();
                assert!((answer - ours).abs() < 1e-6, "{question}: {answer}, and here {ours}");
                seconds.parse::<f64>().unwrap() * 1e3
            });
            println!("{}: {question} {:.0} ms", rival.name, run::median(times.collect()));
        }
    }
}
