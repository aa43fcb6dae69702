//! Recordings of the real exchange, which lie outside the repository.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use fastrand::Rng;
use kalshi_orderbook::lake::{LoadReport, Outcome};

use crate::{
    compare::{Tally, all_markets},
    naive::{Recording, files_in, text_of},
    stage::Stage,
    tape::Loaded,
};

/// A folder of the recordings; `None`, and a word about it, where there are none.
fn data(folder: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("KALSHI_REAL_DATA") else {
        eprintln!("skipped for lack of real recordings: KALSHI_REAL_DATA is not set");
        return None;
    };
    let path = Path::new(&root).join(folder);
    assert!(path.is_dir(), "KALSHI_REAL_DATA has no folder {}", path.display());
    Some(path)
}

/// Every line is counted as what the naive side takes it for.
fn same_lines(tally: &mut Tally, report: &LoadReport, recording: &Recording) {
    for lines in &recording.files {
        let name = lines.path.display();
        let Some(segment) = report.segments.iter().find(|s| s.path == lines.path) else {
            tally.differ(format!("{name} is not in the report"));
            continue;
        };
        let found = &segment.counts;
        let right = [
            ("lines", found.lines, lines.lines),
            ("frames", found.frames, lines.frames),
            ("events", found.events, lines.events),
            ("blank", found.blank, lines.blank),
            ("torn", found.torn, lines.torn),
            ("rubbish", found.rubbish, lines.rubbish),
            ("bytes", found.bytes, lines.bytes),
        ];
        for (what, found, right) in right {
            if found != right {
                tally.differ(format!("{name}: {found} {what}, should be {right}"));
            }
        }
        if !found.is_conserved() || segment.damage.is_some() {
            tally.differ(format!("{name}: {segment:?}"));
        }
        let outcomes: u64 = Outcome::ALL.iter().map(|outcome| found.of(*outcome)).sum();
        if outcomes != lines.frames {
            tally.differ(format!("{name}: {outcomes} frames have an outcome, of {}", lines.frames));
        }
    }
    if report.segments.len() != recording.files.len() {
        tally.differ(format!(
            "{} files in the report, {} in the folder",
            report.segments.len(),
            recording.files.len()
        ));
    }
}

/// In a clean recording each frame is taken for what its type says.
fn same_kinds(tally: &mut Tally, report: &LoadReport, recording: &Recording) {
    for lines in &recording.files {
        let Some(segment) = report.segments.iter().find(|s| s.path == lines.path) else { continue };
        for (outcome, kind) in [
            (Outcome::Snapshot, "orderbook_snapshot"),
            (Outcome::Delta, "orderbook_delta"),
            (Outcome::Ticker, "ticker"),
            (Outcome::Trade, "trade"),
        ] {
            let right = lines.kinds.get(kind).copied().unwrap_or_default();
            let found = segment.counts.of(outcome);
            if found != right {
                tally
                    .differ(format!("{}: {found} {kind}, should be {right}", lines.path.display()));
            }
        }
    }
}

/// How many instants a market is looked at; `KALSHI_REAL_INSTANTS` asks for another number.
fn instants(count: usize) -> usize {
    std::env::var("KALSHI_REAL_INSTANTS").map_or(count, |text| text.parse().unwrap())
}

fn load(path: &Path) -> (Loaded, Tally, Recording) {
    let files = if path.is_dir() { files_in(path) } else { vec![path.to_owned()] };
    let start = Instant::now();
    let recording = Recording::read(&files);
    let read = start.elapsed();
    let (analyzer, report) = Loaded::elsewhere(path);
    let name = path.display();
    eprintln!("{name}: read in {read:.1?}, loaded in {:.1?}", start.elapsed().saturating_sub(read));
    let mut tally = Tally::default();
    same_lines(&mut tally, &report, &recording);
    same_kinds(&mut tally, &report, &recording);
    (analyzer, tally, recording)
}

/// Whether any stream has a market whose level would go negative.
fn has_negative_level(recording: &Recording) -> bool {
    recording.markets().iter().any(|ticker| {
        recording
            .streams_of(ticker)
            .iter()
            .any(|stream| stream.states(ticker, &[stream.steps.len()])[0].negative)
    })
}

fn compare(folder: &str, instants: usize, numbers: usize) -> Option<(Tally, Recording)> {
    let path = data(folder)?;
    let (analyzer, mut tally, recording) = load(&path);
    let mut rng = Rng::with_seed(20_261_122);
    tally.add(all_markets(&analyzer, &recording, instants, numbers, &mut rng));
    Some((tally, recording))
}

#[test]
fn a_clean_recording_gives_every_book_at_every_instant() {
    let Some((tally, recording)) = compare("frames-2026", instants(30), 10) else { return };
    assert!(!has_negative_level(&recording));
    tally.conclude("frames-2026");
    // Clean up to the end of each connection: what is unknown is before, between and after.
    assert!(tally.unknown * 4 < tally.books());
}

#[test]
fn the_first_generation_gives_every_book_at_every_instant() {
    let Some((tally, recording)) = compare("frames-2025-legacy", 200, 100) else { return };
    assert!(!has_negative_level(&recording));
    tally.conclude("frames-2025-legacy");
}

#[test]
fn the_files_of_another_recorder_give_every_book_at_every_instant() {
    for folder in ["other-recorder-format/logs-2026", "other-recorder-format/logs-legacy"] {
        let Some((tally, recording)) = compare(folder, 200, 100) else { return };
        assert!(!has_negative_level(&recording));
        tally.conclude(folder);
    }
}

#[test]
fn a_recording_with_gaps_gives_no_wrong_book() {
    let Some((tally, _)) = compare("frames-2026-gappy", instants(60), 20) else { return };
    tally.conclude("frames-2026-gappy");
    assert!(tally.unknown > 0);
}

#[test]
fn small_recordings_of_many_shapes_give_every_book() {
    let Some(folder) = data("small") else { return };
    let mut all = Tally::default();
    for path in files_in(&folder) {
        let text = String::from_utf8(text_of(&path)).unwrap();
        let foreign = text.contains("KXBTCPERP1");
        // Two of the files are collections of single frames.
        let frames = path.ends_with("examples.jsonl") || path.ends_with("v2026.jsonl");
        if !text.contains("orderbook_") || foreign || frames {
            continue;
        }
        let (analyzer, mut tally, recording) = load(&path);
        let mut rng = Rng::with_seed(7);
        tally.add(all_markets(&analyzer, &recording, 100, 50, &mut rng));
        all.add(tally);
    }
    all.conclude("small");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_frames_through_a_real_socket_are_on_the_tape_byte_for_byte() {
    let Some(folder) = data("frames-2026") else { return };
    // The three largest of some megabytes.
    let mut files = files_in(&folder);
    files.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
    let mut recording: Vec<Vec<String>> = Vec::new();
    for path in &files[..3] {
        let text = String::from_utf8(text_of(path)).unwrap();
        let mut connections = BTreeMap::<&str, Vec<String>>::new();
        for line in text.lines() {
            // The wrapper's keys have one order: what stands between them is the text.
            let (head, frame) = line.split_once(r#","frame":"#).unwrap();
            let (_, conn) = head.split_once(r#""conn":"#).unwrap();
            let frame = frame.strip_suffix('}').unwrap();
            connections.entry(conn).or_default().push(frame.to_owned());
        }
        recording.extend(connections.into_values());
    }
    let (connections, frames) = (recording.len(), recording.iter().map(Vec::len).sum::<usize>());
    assert!(connections > 3 && frames > 100_000, "{connections} {frames}");

    let mut stage = Stage::serving(recording.clone()).await.tickers(connections);
    stage.config.connections = Some(connections);
    let summary = stage.record_until(|tape| tape.frames.len() == frames).await;
    assert_eq!((summary.received, summary.written), (frames as u64, frames as u64));
    let tape = stage.tape();
    let mut taped: Vec<Vec<&str>> =
        (1..=connections).map(|conn| tape.frames_of(u32::try_from(conn).unwrap())).collect();
    taped.sort();
    let mut served: Vec<Vec<&str>> =
        recording.iter().map(|list| list.iter().map(String::as_str).collect()).collect();
    served.sort();
    for (taped, served) in taped.iter().zip(&served) {
        let same = taped.iter().zip(served).take_while(|(taped, served)| taped == served).count();
        assert_eq!((same, taped.len()), (served.len(), served.len()), "{:.200?}", taped.get(same));
    }
    eprintln!("{frames} real frames over {connections} connections");
}
