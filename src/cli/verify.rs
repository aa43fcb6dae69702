//! `kalshi verify`.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::ProgressBar;
use kalshi_orderbook::tape::{Archive, Hole, Proof, SegmentState, verify};
use serde::Serialize;

use super::{
    Common,
    common::{Format, warn},
    failure::Failure,
    stdout::Stdout,
};

/// Prove the recordings: digests, counts, sequences, declared against found holes
///
/// Reads every byte. Computes the digest and the counts of each sealed segment again, walks every
/// sequence again, and compares the holes it finds with the ones that the recorder declared. Exits
/// with 3 when something is wrong that was not declared; with --strict, also when there are holes.
/// The files of the lake, if there is one, are read and compared with their digests, too.
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
    let proof = verify(&archive, |_| bar.inc(1));
    bar.finish_and_clear();
    let mut out = BufWriter::new(Stdout::lock());
    match common.answer_format() {
        Format::Json => {
            let undamaged = !proof.is_damaged();
            let json = serde_json::json!({ "undamaged": undamaged, "proof": proof });
            serde_json::to_writer(&mut out, &json).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Csv => write_csv(&mut out, &proof)?,
        Format::Table => print(&mut out, &proof)?,
    }
    out.flush()?;
    let lake = damaged_lake(common, folder);
    if let Some(first) = lake.first() {
        let text = format!(
            "{} files of the lake are damaged, the first is `{}`\nhint: delete the folder of the lake: it is made again from the recordings",
            lake.len(),
            first.display()
        );
        warn(common, &text);
    }
    tell_oddities(common, folder);
    let holes = common.strict && !proof.holes.is_empty();
    let damaged = proof.is_damaged() || !lake.is_empty();
    Ok(ExitCode::from(if damaged || holes { 3 } else { 0 }))
}

/// Files of the lake that are not as they were written.
#[cfg(feature = "duckdb")]
fn damaged_lake(common: &Common, folder: &Path) -> Vec<PathBuf> {
    kalshi_orderbook::lake::Lake::damaged_files(folder, common.lake_dir.as_deref())
}

#[cfg(feature = "duckdb")]
fn tell_oddities(common: &Common, folder: &Path) {
    use kalshi_orderbook::lake::Lake;

    super::output::earlier_oddities(common, Lake::oddities(folder, common.lake_dir.as_deref()));
}

/// This program makes no lake.
#[cfg(not(feature = "duckdb"))]
fn damaged_lake(_: &Common, _: &Path) -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(not(feature = "duckdb"))]
fn tell_oddities(_: &Common, _: &Path) {}

/// One thing found, as a row: what it does not have is empty.
#[derive(Default, Serialize)]
struct Finding<'p> {
    kind: &'static str,
    path: String,
    session: Option<&'p str>,
    state: String,
    lines: Option<u64>,
    frames: Option<u64>,
    events: Option<u64>,
    torn: Option<u64>,
    repeats: Option<u64>,
    bytes: Option<u64>,
    conn: Option<u32>,
    sid: Option<u64>,
    expected: Option<u64>,
    got: Option<u64>,
    detail: String,
}

fn write_csv(out: &mut impl Write, proof: &Proof) -> Result<(), csv::Error> {
    let segments = proof.segments.iter().map(|segment| Finding {
        kind: "segment",
        path: segment.path.display().to_string(),
        session: segment.session.as_deref(),
        state: segment.state.to_string(),
        lines: Some(segment.lines),
        frames: Some(segment.frames),
        events: Some(segment.events),
        torn: Some(segment.torn),
        repeats: Some(segment.repeats),
        bytes: Some(segment.bytes),
        detail: segment.damage.join("; "),
        ..Finding::default()
    });
    let named = |kind, names: &[String]| {
        let finding =
            move |name: &String| Finding { kind, detail: name.clone(), ..Finding::default() };
        names.iter().map(finding).collect::<Vec<_>>()
    };
    let holes = proof.holes.iter().map(|hole| Finding {
        kind: "hole",
        session: Some(&hole.session),
        state: known(proof, hole).to_owned(),
        conn: Some(hole.conn),
        sid: Some(hole.sid),
        expected: Some(hole.expected),
        got: Some(hole.got),
        ..Finding::default()
    });
    let foreign = proof.foreign_files.iter().map(|path| Finding {
        kind: "not read",
        path: path.display().to_string(),
        ..Finding::default()
    });
    let mut writer = csv::Writer::from_writer(out);
    for finding in segments
        .chain(named("missing", &proof.missing))
        .chain(named("no end", &proof.unended))
        .chain(holes)
        .chain(foreign)
    {
        writer.serialize(finding)?;
    }
    Ok(writer.flush()?)
}

/// From which side a hole is known.
fn known(proof: &Proof, hole: &Hole) -> &'static str {
    match (hole.found, hole.declared) {
        (true, true) => "declared",
        (true, false) if proof.contradicts(hole) => "UNDECLARED",
        (true, false) => "found",
        (false, _) if hole.last => "declared, and nothing after it",
        (false, _) => "DECLARED BUT NOT FOUND",
    }
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
        writeln!(
            out,
            "hole      {}: session {} conn {} sid {}, {} messages from seq {}",
            known(proof, hole),
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
