//! Processes and what they take: the real program, and rivals in Python.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use kalshi_orderbook::analysis::Analyzer;

use super::usage;

/// How often a process is asked for its memory.
const LOOK: Duration = Duration::from_millis(10);

/// What a process took, and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Resident at the most, MB, but for its last 10 ms.
    pub(crate) peak_mb: f64,
    pub(crate) said: String,
}

/// Runs to a good end. Standard output is kept, standard error dropped.
pub(crate) fn run(command: &mut Command) -> Run {
    let before = usage::cpu_seconds();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let (process, ended, mut said) = (child.id(), AtomicBool::new(false), String::new());
    let (seconds, peak) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = usage::resident(process).map_or(peak, |(_, most)| most.max(peak));
                std::thread::park_timeout(LOOK);
            }
            peak
        });
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        let seconds = start.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        assert!(status.success(), "{command:?}: {status}");
        (seconds, watcher.join().unwrap())
    });
    Run { seconds, cpu_seconds: usage::cpu_seconds() - before, peak_mb: peak as f64 / 1e6, said }
}

/// The real program on a log folder whose lake lies elsewhere.
pub(crate) fn kalshi(logs: &Path, lake: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    command.args(arguments).arg("--log-dir").arg(logs).arg("--lake-dir").arg(lake);
    command
}

/// The same in this process.
pub(crate) fn open(logs: &Path, lake: &Path) -> Analyzer {
    let analyzer = Analyzer::new().unwrap();
    analyzer.load(logs, Some(lake), &|_, _| {}).unwrap();
    analyzer
}

/// A script of `benches/rivals`.
#[derive(Debug, Clone)]
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    script: &'static str,
    package: &'static str,
}

impl Rival {
    pub(crate) const fn new(
        name: &'static str,
        script: &'static str,
        package: &'static str,
    ) -> Self {
        Self { name, script, package }
    }

    /// Whether this Python has what it needs; says so where not.
    pub(crate) fn is_there(&self, python: &Path) -> bool {
        let import = format!("import {}", self.package);
        let mut command = Command::new(python);
        command.args(["-c", &import]).stdout(Stdio::null()).stderr(Stdio::null());
        let there = command.status().is_ok_and(|status| status.success());
        if !there {
            println!("skipped: {} (pip install {})", self.name, self.package);
        }
        there
    }

    pub(crate) fn command(&self, python: &Path) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rivals");
        let mut command = Command::new(python);
        command.arg(scripts.join(self.script));
        command
    }
}

/// Every file under a folder, with its size.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let (mut files, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                files.push((entry.path(), metadata.len()));
            }
        }
    }
    files
}

/// Bytes of a lake, without files that are only kept for a while for programs that may read them.
pub(crate) fn lake_bytes(lake: &Path) -> u64 {
    let manifest = std::fs::read(lake.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let garbage: Vec<PathBuf> = manifest["garbage"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|file| lake.join(file[0].as_str().unwrap()))
        .collect();
    let counts = |(path, _): &(PathBuf, u64)| !garbage.contains(path);
    files(lake).into_iter().filter(counts).map(|(_, bytes)| bytes).sum()
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
