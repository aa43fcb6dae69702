//! What an archive costs as it grows: recordings laid one behind the other in time, with other
//! names of markets.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Instant,
};

use jiff::{ToSpan, civil::Date};
use kalshi_orderbook::{
    analysis::{Analyzer, MarketRow},
    tape::{Archive, Body, Record, Segment, Stamp},
};
use xxhash_rust::xxh3::xxh3_128;

use super::run;

const DAY_S: i64 = 86_400;
const DAY_NS: i64 = DAY_S * 1_000_000_000;

pub(crate) fn run(recordings: &Path, scratch: &Path, factors: &[usize], asked: usize) {
    let segments = Archive::open(recordings).unwrap().segments;
    let days = days(&segments);
    let logs = scratch.join("archive");
    let (mut copies, mut text) = (0, 0);
    println!("each process has the files in the system's cache; medians of {asked}");
    println!(
        "| archive | deltas | JSON lines | tape | first touch | peak memory | lake | opened without \
         news | as a process | book at an instant | spread of a day |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for &factor in factors {
        text += copy(&segments, &logs, copies..factor, days);
        copies = factor;
        let lake = scratch.join("lake-growth");
        let tape: u64 = run::files(&logs).iter().map(|(_, bytes)| bytes).sum();
        let touch = run::run(&mut run::kalshi(&logs, &lake, &["compact", "--format", "json"]));
        let report: serde_json::Value = serde_json::from_str(&touch.said).unwrap();
        let deltas = report[0]["deltas"].as_u64().unwrap() as f64;

        let opened = (0..asked).map(|_| {
            let start = Instant::now();
            drop(run::open(&logs, &lake));
            start.elapsed().as_secs_f64() * 1e3
        });
        let opened = run::median(opened.collect());
        let markets = some(&run::open(&logs, &lake), asked);
        let process = |arguments: &dyn Fn(&MarketRow) -> Vec<String>| {
            let ask = |market| {
                let arguments = arguments(market);
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                run::run(&mut run::kalshi(&logs, &lake, &arguments)).seconds * 1e3
            };
            let _warm = markets.iter().map(ask).sum::<f64>();
            run::median(markets.iter().map(ask).collect())
        };
        let nothing = process(&|_| vec!["compact".into()]);
        let book = process(&|market| {
            let at = start(market) / 2 + market.last_ts.unwrap_or_default().0 / 2;
            ["analyze", "book", &market.ticker, "--at", &at.to_string()].map(str::to_owned).into()
        });
        let spread = process(&|market| {
            let (from, to) = (start(market), start(market) + DAY_NS);
            let (from, to) = (from.to_string(), to.to_string());
            ["analyze", "spread", &market.ticker, "--from", &from, "--to", &to]
                .map(str::to_owned)
                .into()
        });
        println!(
            "| {factor}x | {:.2} M | {:.2} GB | {:.1} B/delta | {:.2} s | {:.0} MB | {:.2} B/delta \
             | {opened:.1} ms | {nothing:.0} ms | {book:.0} ms | {spread:.0} ms |",
            deltas / 1e6,
            text as f64 / 1e9,
            tape as f64 / deltas,
            touch.seconds,
            touch.peak_mb,
            run::lake_bytes(&lake) as f64 / deltas,
        );
        fs::remove_dir_all(lake).unwrap();
    }
    fs::remove_dir_all(logs).unwrap();
}

/// Markets with a book, from all over the archive.
fn some(analyzer: &Analyzer, count: usize) -> Vec<MarketRow> {
    let mut rows = analyzer.markets().unwrap();
    rows.retain(|row| row.live_s > 60.0);
    let step = rows.len().div_ceil(count).max(1);
    rows.into_iter().step_by(step).collect()
}

fn start(market: &MarketRow) -> i64 {
    market.first_ts.unwrap_or_default().0
}

/// Whole days that hold the recordings, from the first line to the last.
fn days(segments: &[Segment]) -> i64 {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for segment in segments {
        let mut reader = segment.open().unwrap();
        while let Some(line) = reader.next_line().unwrap() {
            let Ok(Record { recv_ns: Some(recv_ns), .. }) = Record::parse(line.bytes) else {
                continue;
            };
            (first, last) = (first.min(recv_ns), last.max(recv_ns));
        }
    }
    assert!(first <= last, "recordings without a receive time cannot be moved");
    last.div_euclid(DAY_NS) - first.div_euclid(DAY_NS) + 1
}

/// Writes copies, each file as a compressed segment of a session of its own; bytes of text.
fn copy(segments: &[Segment], logs: &Path, copies: std::ops::Range<usize>, days: i64) -> u64 {
    let jobs = copies.len() * segments.len();
    let (next, text) = (AtomicUsize::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return;
            }
            let (copy, file) = (copies.start + job / segments.len(), job % segments.len());
            let written = write(&segments[file], logs, copy, file, days);
            text.fetch_add(written as u64, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(work);
        }
    });
    text.into_inner()
}

fn write(segment: &Segment, logs: &Path, copy: usize, file: usize, days: i64) -> usize {
    let shift = Shift {
        days: days * copy as i64,
        suffix: if copy == 0 { String::new() } else { format!("-{copy:03}") },
    };
    let session = format!("{:012x}", (copy << 16) + file);
    let (mut text, mut start_ns, mut frames) = (Vec::new(), None, 0_u64);
    let mut reader = segment.open().unwrap();
    while let Some(line) = reader.next_line().unwrap() {
        let Ok(record) = Record::parse(line.bytes) else { continue };
        if start_ns.is_none() {
            let start = record.recv_ns.unwrap() + shift.days * DAY_NS;
            start_ns = Some(start);
            text.extend_from_slice(format!(r#"{{"recv_ns":{start},"event":"session","format":1,"session":"{session}","segment":0,"version":"0.1.0","env":"prod","host":"bench","config":{{}}}}"#).as_bytes());
            text.push(b'\n');
        }
        let own = [&br#""event":"session""#[..], br#""event":"closed""#];
        if own.iter().any(|own| memchr::memmem::find(line.bytes, own).is_some()) {
            continue;
        }
        frames += u64::from(matches!(record.body, Body::Frame(_)));
        shift.write(line.bytes, &mut text);
        text.push(b'\n');
    }
    // An empty recording has nothing to copy.
    let Some(start_ns) = start_ns else { return 0 };
    let lines = memchr::memchr_iter(b'\n', &text).count();
    let closed = format!(
        r#"{{"recv_ns":{start_ns},"event":"closed","lines":{lines},"frames":{frames},"bytes":{},"xxh128":"{:032x}","end":true}}"#,
        text.len(),
        xxh3_128(&text)
    );
    text.extend_from_slice(closed.as_bytes());
    text.push(b'\n');
    let path = logs.join(Stamp { start_ns, session, number: 0 }.path());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let compressed = zstd::encode_all(text.as_slice(), 3).unwrap();
    fs::write(path.with_extension("jsonl.zst"), compressed).unwrap();
    text.len()
}

/// Where a copy lies in time, and what is behind the names of its markets.
struct Shift {
    days: i64,
    suffix: String,
}

/// What follows a key, and has to be changed.
#[derive(Clone, Copy)]
enum Follows {
    Ticker,
    Date,
    /// Units of a second.
    Number(i64),
}

impl Shift {
    const KEYS: [(&'static [u8], Follows); 7] = [
        (br#""recv_ns":"#, Follows::Number(1_000_000_000)),
        (br#""market_ticker":""#, Follows::Ticker),
        (br#""ts":""#, Follows::Date),
        (br#""ts_ms":"#, Follows::Number(1_000)),
        (br#""time":""#, Follows::Date),
        (br#""ts":"#, Follows::Number(1)),
        (br#""sending_ts_ms":"#, Follows::Number(1_000)),
    ];

    fn write(&self, line: &[u8], out: &mut Vec<u8>) {
        let mut rest = line;
        while let Some(quote) = memchr::memchr(b'"', rest) {
            let (before, found) = rest.split_at(quote);
            out.extend_from_slice(before);
            let key = Self::KEYS.iter().find(|(key, _)| found.starts_with(key));
            let Some((key, follows)) = key else {
                out.push(b'"');
                rest = &found[1..];
                continue;
            };
            out.extend_from_slice(key);
            let (value, after) = found.split_at(key.len()).1.split_at(match follows {
                Follows::Ticker => memchr::memchr(b'"', &found[key.len()..]).unwrap(),
                Follows::Date => "2026-05-11".len(),
                Follows::Number(_) => {
                    found[key.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count()
                }
            });
            let value = std::str::from_utf8(value).unwrap();
            let value = match follows {
                Follows::Ticker => format!("{value}{}", self.suffix),
                Follows::Date => {
                    let date: Date = value.parse().unwrap();
                    date.checked_add(self.days.days()).unwrap().to_string()
                }
                Follows::Number(units) => {
                    (value.parse::<i64>().unwrap() + self.days * DAY_S * units).to_string()
                }
            };
            out.extend_from_slice(value.as_bytes());
            rest = after;
        }
        out.extend_from_slice(rest);
    }
}
