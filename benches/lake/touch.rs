//! First touch: from recordings to a lake that answers, beside others on the same JSON lines.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use kalshi_orderbook::tape::{Archive, Layout};

use super::run::{self, Rival, Run};

/// Who reads the recordings, and what comes of it.
enum Contender<'a> {
    /// `kalshi compact` into a fresh lake, of a folder of recordings
    Kalshi(&'static str, PathBuf),
    /// Deltas alone, by a script for this Python, into a file if it writes one
    Rival(Rival, &'a Path, bool),
}

impl Contender<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Kalshi(name, _) => name,
            Self::Rival(rival, ..) => rival.name,
        }
    }
}

/// What one turn took, and the bytes that it left.
struct Figure {
    run: Run,
    /// By a rival's own clock, without the start of Python.
    own_seconds: f64,
    deltas: u64,
    bytes: u64,
}

pub(crate) fn run(recordings: &Path, scratch: &Path, python: Option<&Path>, rounds: usize) {
    let plain = plain(recordings, scratch);
    let bytes: u64 = run::files(&plain).iter().map(|(_, bytes)| bytes).sum();
    println!("first touch of {:.0} MB of JSON lines, {rounds} rounds", bytes as f64 / 1e6);
    let mut contenders = vec![Contender::Kalshi("kalshi compact", plain.clone())];
    if plain != recordings {
        let name = "kalshi compact (.jsonl.zst)";
        contenders.push(Contender::Kalshi(name, recordings.to_owned()));
    }
    let rivals = [
        (Rival::new("DuckDB: sorted Parquet of deltas", "touch_duckdb.py", "duckdb"), true),
        (Rival::new("DuckDB: scan", "touch_duckdb.py", "duckdb"), false),
        (Rival::new("polars: sorted Parquet of deltas", "touch_polars.py", "polars"), true),
        (Rival::new("chdb: scan", "touch_chdb.py", "chdb"), false),
    ];
    if let Some(python) = python {
        let there = rivals.into_iter().filter(|(rival, _)| rival.is_there(python));
        contenders.extend(there.map(|(rival, writes)| Contender::Rival(rival, python, writes)));
    }

    let mut figures: Vec<Vec<Figure>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            figures.push(measure(contender, &plain, scratch));
        }
    }
    print(&contenders, &figures);
}

fn measure(contender: &Contender<'_>, plain: &Path, scratch: &Path) -> Figure {
    let folder = tempfile::tempdir_in(scratch).unwrap();
    match contender {
        Contender::Kalshi(_, logs) => {
            let arguments = ["compact", "--format", "json"];
            let run = run::run(&mut run::kalshi(logs, folder.path(), &arguments));
            let report: serde_json::Value = serde_json::from_str(&run.said).unwrap();
            Figure {
                own_seconds: run.seconds,
                deltas: report[0]["deltas"].as_u64().unwrap(),
                bytes: run::lake_bytes(folder.path()),
                run,
            }
        }
        Contender::Rival(rival, python, writes) => {
            let out = folder.path().join("deltas.parquet");
            let mut command = rival.command(python);
            command.arg(plain);
            if *writes {
                command.arg(&out);
            }
            let run = run::run(&mut command);
            let (deltas, seconds) = run.said.trim().split_once(' ').unwrap();
            Figure {
                own_seconds: seconds.parse().unwrap(),
                deltas: deltas.parse().unwrap(),
                bytes: fs::metadata(out).map_or(0, |metadata| metadata.len()),
                run,
            }
        }
    }
}

fn print(contenders: &[Contender<'_>], figures: &[Vec<Figure>]) {
    let deltas = figures[0][0].deltas;
    let median =
        |figures: &[Figure], of: fn(&Figure) -> f64| run::median(figures.iter().map(of).collect());
    let ours = median(&figures[0], |figure| figure.own_seconds);
    println!(
        "{:<34}{:>8}{:>11}{:>8}{:>9}{:>15}{:>14}",
        "", "s", "s, process", "CPU s", "peak MB", "kalshi / this", "bytes a delta"
    );
    for (contender, figures) in contenders.iter().zip(figures) {
        let name = contender.name();
        for figure in figures {
            assert_eq!(figure.deltas, deltas, "{name} has other deltas");
        }
        let seconds = median(figures, |figure| figure.own_seconds);
        print!("{name:<34}{seconds:>8.2}");
        print!("{:>11.2}", median(figures, |figure| figure.run.seconds));
        print!("{:>8.2}", median(figures, |figure| figure.run.cpu_seconds));
        print!("{:>9.0}", median(figures, |figure| figure.run.peak_mb));
        print!("{:>15.2}", ours / seconds);
        match figures[0].bytes {
            0 => println!("{:>14}", "-"),
            bytes => println!("{:>14.2}", bytes as f64 / deltas as f64),
        }
    }
    println!(
        "{deltas} deltas; medians; kalshi's seconds are of the whole process, the others' without \
         the start of Python"
    );
}

/// The recordings without compression, where they have any.
fn plain(recordings: &Path, scratch: &Path) -> PathBuf {
    let segments = Archive::open(recordings).unwrap().segments;
    if segments.iter().all(|segment| segment.layout != Layout::Compressed) {
        return recordings.to_owned();
    }
    let folder = scratch.join("plain");
    fs::create_dir(&folder).unwrap();
    for segment in segments {
        let mut out = File::create(folder.join(segment.stem() + ".jsonl")).unwrap();
        let mut file = File::open(&segment.path).unwrap();
        if segment.layout == Layout::Compressed {
            zstd::stream::copy_decode(file, &mut out).unwrap();
        } else {
            std::io::copy(&mut file, &mut out).unwrap();
        }
        out.flush().unwrap();
    }
    folder
}
