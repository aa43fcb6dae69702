//! `kalshi verify`.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::ProgressBar;
use kalshi_orderbook::tape::{Archive, Proof, SegmentState, verify};

use super::{Common, common::Format, failure::Failure};

/// Prove the recordings: digests, counts, sequences, declared against found holes
///
/// Reads every byte. Computes the digest and the counts of each sealed segment again, walks every
/// sequence again, and compares the holes it finds with the ones that the recorder declared. Exits
/// with 3 when something is wrong that was not declared; with --strict, also when there are holes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder or file in place of --log-dir
    #[arg(value_name = "LOG_DIR")]
    folder: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, args: &Args) -> Result<ExitCode, Failure> {
    let folder = args.folder.as_ref().unwrap_or(&common.log_dir);
    let archive = Archive::open(folder).map_err(|error| {
        Failure::from(error).with_hint("give the folder of the recordings, or --log-dir")
    })?;
    if archive.segments.is_empty() {
        let nothing = anyhow::anyhow!("no recordings in `{}`", folder.display());
        return Err(Failure::from(nothing).with_hint("they end in .jsonl or .jsonl.zst"));
    }
    let bar = if io::stderr().is_terminal() {
        ProgressBar::new(archive.segments.len() as u64)
    } else {
        ProgressBar::hidden()
    };
    let proof = verify(&archive, |_| bar.inc(1)).context("verify")?;
    bar.finish_and_clear();
    let mut out = io::stdout().lock();
    if common.format == Some(Format::Json) {
        let undamaged = !proof.is_damaged();
        let json = serde_json::json!({ "undamaged": undamaged, "proof": proof });
        serde_json::to_writer(&mut out, &json).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        print(&mut out, &proof)?;
    }
    let holes = common.strict && !proof.holes.is_empty();
    Ok(ExitCode::from(if proof.is_damaged() || holes { 3 } else { 0 }))
}

fn print(out: &mut impl Write, proof: &Proof) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["segment", "state", "lines", "frames", "events", "torn", "repeats", "MB"]);
    for segment in &proof.segments {
        table.add_row([
            segment.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            segment.state.to_string(),
            segment.lines.to_string(),
            segment.frames.to_string(),
            segment.events.to_string(),
            segment.torn.to_string(),
            segment.repeats.to_string(),
            format!("{:.1}", segment.bytes as f64 / 1e6),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}\n")?;
    for segment in &proof.segments {
        for damage in &segment.damage {
            writeln!(out, "damaged   {}, {damage}", segment.path.display())?;
        }
    }
    for missing in &proof.missing {
        writeln!(out, "missing   {missing}")?;
    }
    for unended in &proof.unended {
        writeln!(out, "no end    {unended}")?;
    }
    for hole in &proof.holes {
        let known = match (hole.found, hole.declared) {
            (true, true) => "declared",
            (true, false) if proof.contradicts(hole) => "UNDECLARED",
            (true, false) => "found",
            (false, _) if hole.last => "declared, and nothing after it",
            (false, _) => "DECLARED BUT NOT FOUND",
        };
        writeln!(
            out,
            "hole      {known}: session {} conn {} sid {}, {} messages from seq {}",
            hole.session,
            hole.conn,
            hole.sid,
            hole.got.saturating_sub(hole.expected),
            hole.expected,
        )?;
    }
    for file in &proof.foreign_files {
        writeln!(out, "not read  {}", file.display())?;
    }
    let count = |state| proof.segments.iter().filter(|s| s.state == state).count();
    writeln!(
        out,
        "{} segments: {} proven, {} open, {} damaged; {} frames, {} holes: {}",
        proof.segments.len(),
        count(SegmentState::Proven),
        count(SegmentState::Open),
        count(SegmentState::Damaged),
        proof.segments.iter().map(|s| s.frames).sum::<u64>(),
        proof.holes.len(),
        if proof.is_damaged() { "DAMAGED" } else { "undamaged" },
    )
}
