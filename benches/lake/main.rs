//! What the lake costs and how fast it answers, beside what others take for the same.
//!
//! `cargo bench --bench lake [-- touch | questions | replay | growth] [--help]`. Rivals are scripts
//! in `benches/rivals`, in the same run and on the same recordings; one whose package is missing is
//! skipped and named. Without `--recordings` a synthetic tape is made, the same at every run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a benchmark"
)]

mod growth;
mod questions;
mod replay;
mod run;
mod tape;
mod touch;
#[path = "../common/usage.rs"]
mod usage;

use std::path::PathBuf;

use clap::Parser;

/// What the lake costs and how fast it answers, beside what others take for the same.
#[derive(Debug, Parser)]
#[command(name = "lake")]
struct Args {
    #[arg(value_enum, default_value = "touch")]
    mode: Mode,
    /// Recordings to use (touch, replay, growth) [default: a synthetic tape]
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
    /// Deltas of the synthetic tape; rows asked over (questions)
    #[arg(long, default_value_t = 1_000_000)]
    rows: usize,
    /// How often each has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often the recordings are laid one behind the other (growth)
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    factors: Vec<usize>,
    /// Where there is room; everything is deleted afterwards [default: the system's folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// The Python of the rivals
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Given by `cargo bench` and absent under `cargo test`, which asks only whether this works
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    /// From recordings to a lake that answers
    Touch,
    /// Spread, VWAP, imbalance and a book, over a million rows of one market
    Questions,
    /// Books to best bid and ask: events a second on one core
    Replay,
    /// All of it, as an archive grows
    Growth,
}

fn main() {
    let args = Args::parse();
    let scratch = args.scratch.unwrap_or_else(std::env::temp_dir);
    let scratch = tempfile::tempdir_in(scratch).unwrap();
    let rows = if args.bench { args.rows } else { 2_000 };
    let recordings = args.recordings.unwrap_or_else(|| {
        let folder = scratch.path().join("tape");
        if !matches!(args.mode, Mode::Questions) {
            tape::day(&folder, rows);
        }
        folder
    });
    let (scratch, python) = (scratch.path(), args.python.as_path());
    if !args.bench {
        touch::run(&recordings, scratch, None, 1);
        questions::run(rows, &[1], scratch, None, 1);
        replay::run(&recordings, scratch, None, 1);
        return growth::run(&recordings, scratch, &[1, 2], 1);
    }
    match args.mode {
        Mode::Touch => touch::run(&recordings, scratch, Some(python), args.rounds),
        Mode::Questions => questions::run(rows, &[0, 20], scratch, Some(python), args.rounds),
        Mode::Replay => replay::run(&recordings, scratch, Some(python), args.rounds),
        Mode::Growth => growth::run(&recordings, scratch, &args.factors, 20),
    }
}
