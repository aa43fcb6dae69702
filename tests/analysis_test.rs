//! Verifies the logs the user has, in `./logs` or where `KALSHI_LOG_DIR` says.
//!
//! `cargo test --test analysis_test -- --nocapture` prints what was found.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, made to be read")]

use std::path::PathBuf;

use kalshi_orderbook::{
    analysis::{Analyzer, Nanos, arrow::util::pretty::pretty_format_batches},
    lake::Outcome,
    protocol::Side,
};

fn folder() -> PathBuf {
    std::env::var_os("KALSHI_LOG_DIR").map_or_else(|| "logs".into(), PathBuf::from)
}

/// Loads the user's logs; nothing where there are none, which is told.
fn logs() -> Option<Analyzer> {
    let folder = folder();
    let analyzer = Analyzer::new().unwrap();
    let found = folder.is_dir() && !analyzer.load_logs(&folder).unwrap().segments.is_empty();
    if !found {
        println!("There are no recordings in `{}`: nothing to verify.", folder.display());
        println!("Record some with `kalshi ingest`, or set KALSHI_LOG_DIR.");
    }
    found.then_some(analyzer)
}

/// The first value of a query, as text.
fn value(analyzer: &Analyzer, sql: &str) -> String {
    let text = pretty_format_batches(&analyzer.query(sql).unwrap()).unwrap().to_string();
    text.lines().nth(3).unwrap_or_default().trim_matches(['|', ' ']).to_owned()
}

#[test]
fn every_line_of_the_logs_is_accounted_for() {
    let Some(analyzer) = logs() else { return };
    let report = analyzer.report();
    let total = report.total();
    for segment in &report.segments {
        assert!(segment.counts.is_conserved(), "{}", segment.path.display());
    }
    println!(
        "{} files, {} lines = {} frames + {} events + {} blank + {} torn + {} rubbish",
        report.segments.len(),
        total.lines,
        total.frames,
        total.events,
        total.blank,
        total.torn,
        total.rubbish
    );
    let outcomes =
        Outcome::ALL.map(|outcome| format!("{} {}", total.of(outcome), outcome.as_str()));
    println!("frames: {}", outcomes.join(", "));
    for (kind, first) in report.oddities() {
        println!(
            "{kind}: {} times, first in {} line {} ({})",
            first.count,
            first.path.display(),
            first.line,
            first.reason
        );
    }
    for segment in report.segments.iter().filter(|segment| segment.damage.is_some()) {
        println!("damaged: {}", segment.damage.as_deref().unwrap_or_default());
    }
    let stored = value(&analyzer, "SELECT sum(frames) FROM sessions");
    assert_eq!(stored, total.frames.to_string(), "the sessions hold the same frames");
    let query = "SELECT session, segments, connections, frames, first_ts, last_ts FROM sessions";
    println!("{}", pretty_format_batches(&analyzer.query(query).unwrap()).unwrap());
}

/// Within a span no level may be below zero, and the quotes must be those of a book.
#[test]
fn the_books_of_the_logs_are_right_outside_of_holes() {
    let Some(analyzer) = logs() else { return };
    let outside = "SELECT count(*) FROM bbo WHERE bid <= 0 OR bid >= 1 OR ask <= 0 OR ask >= 1
                   OR bid_size <= 0 OR ask_size <= 0";
    assert_eq!(value(&analyzer, outside), "0", "prices lie between the ends, sizes above zero");
    let overlapping = "SELECT count(*) FROM (SELECT ts_until > lead(ts) OVER
                         (PARTITION BY ticker, session, conn, sid ORDER BY ts, ts_until, seq) AS wrong FROM bbo) WHERE wrong";
    assert_eq!(value(&analyzer, overlapping), "0", "one quote ends before the next begins");
    let crossed =
        "SELECT coalesce(sum(epoch_ns(ts_until) - epoch_ns(ts)) FILTER (spread < 0), 0)::DOUBLE
                   / greatest(sum(epoch_ns(ts_until) - epoch_ns(ts)), 1) FROM bbo";
    let crossed: f64 = value(&analyzer, crossed).parse().unwrap_or_default();
    println!("share of time in which a book is crossed: {:.4} %", crossed * 100.0);
    for market in analyzer.markets().unwrap() {
        match analyzer.reconstruct_book(&market.ticker) {
            Ok(found) => println!(
                "{} at {}: {} yes levels, {} no levels, {}",
                market.ticker,
                Nanos(found.at_ns),
                found.book.depth(Side::Yes),
                found.book.depth(Side::No),
                found.status.as_str()
            ),
            Err(error) => {
                assert_eq!(market.live_s, 0.0, "{error}");
                println!("{}: {error}", market.ticker);
            }
        }
    }
    for gap in analyzer.gaps().unwrap() {
        println!(
            "hole: {} in {} conn {} from {:?} to {:?}",
            gap.kind,
            gap.session,
            gap.conn,
            gap.ts_from.map(|t| t.to_string()),
            gap.ts_repaired.map(|t| t.to_string())
        );
    }
}
