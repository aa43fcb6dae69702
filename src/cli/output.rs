//! Answers on standard output: tables for reading, CSV and JSON for programs.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use kalshi_orderbook::analysis::{
    Hole,
    arrow::{array::RecordBatch, error::ArrowError},
};
use serde::Serialize;

pub(crate) use super::common::warn;
use super::{Common, cell::Cells, common::Format, failure::Failure, json, stdout::Stdout, table};

/// The most warnings of one kind that are printed.
const WARNINGS: usize = 5;

pub(crate) fn stdout() -> BufWriter<Stdout> {
    BufWriter::new(Stdout::lock())
}

/// Tells of the holes of an answer; the exit code of it.
pub(crate) fn holes(common: &Common, holes: &[Hole]) -> ExitCode {
    let tell = |Hole { ticker, from, to, reason }: &Hole| {
        // Such as one that begins where an open range does, beside all that was recorded.
        let is_instant = from.0.checked_add(1) == Some(to.0);
        let until = if is_instant { format!("at {from}") } else { format!("from {from} to {to}") };
        format!("{ticker} has a hole {until}: {reason}")
    };
    let texts: Vec<String> = holes.iter().map(tell).collect();
    warn_of(
        common,
        &texts,
        "more holes; `kalshi analyze gaps` lists those in which messages were lost",
    );
    ExitCode::from(if !holes.is_empty() && common.strict { 3 } else { 0 })
}

/// Prints warnings of one kind; of many, how many more there are.
pub(crate) fn warn_of(common: &Common, texts: &[String], more: &str) {
    for text in texts.iter().take(WARNINGS) {
        warn(common, text);
    }
    if let Some(count) = texts.len().checked_sub(WARNINGS).filter(|count| *count > 0) {
        warn(common, &format!("and {count} {more}"));
    }
}

/// Tells that there are oddities which a digestion has told of at an earlier time.
pub(crate) fn earlier_oddities(common: &Common, count: u64) {
    if count > 0 {
        let text = format!(
            "oddities in what was digested earlier: {count}; `kalshi analyze sql \"FROM oddities\"` names them"
        );
        warn(common, &text);
    }
}

/// Prints rows of one kind. Without any, the CSV still has its header.
pub(crate) fn rows<R: Serialize + Default>(common: &Common, rows: &[R]) -> Result<(), Failure> {
    let mut out = stdout();
    match common.answer_format() {
        Format::Json => {
            serde_json::to_writer(&mut out, rows).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Csv if rows.is_empty() => {
            let text = csv(&[R::default()])?;
            out.write_all(text.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default())?;
        }
        Format::Csv => out.write_all(&csv(rows)?)?,
        Format::Table => {
            let text = csv(rows)?;
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*text);
            let mut lines: Vec<Vec<String>> = reader
                .records()
                .map(|record| Ok(record?.iter().map(str::to_owned).collect()))
                .collect::<Result<_, csv::Error>>()?;
            if terminal_width().is_some() {
                without_empty(&mut lines);
            }
            let header = if lines.is_empty() { Vec::new() } else { lines.remove(0) };
            let hidden = hidden(lines.len());
            if hidden > 0 {
                drop(lines.drain(table::ENDS..table::ENDS + hidden));
            }
            table(&mut out, header, lines, hidden)?;
        }
    }
    Ok(out.flush()?)
}

fn csv<R: Serialize>(rows: &[R]) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}

/// Takes columns away that have a name, and no value in any row.
fn without_empty(lines: &mut [Vec<String>]) {
    let is_empty =
        |column| lines.iter().skip(1).all(|line| line.get(column).is_none_or(String::is_empty));
    let empty: Vec<bool> = (0..lines.first().map_or(0, Vec::len)).map(is_empty).collect();
    for line in lines {
        let mut empty = empty.iter();
        line.retain(|_| empty.next() != Some(&true));
    }
}

/// Prints a table; on a terminal, as much of it as can be read there.
fn table(
    out: &mut impl Write,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    hidden: usize,
) -> io::Result<()> {
    let text = match terminal_width() {
        _ if rows.is_empty() => "(no rows)".to_owned(),
        Some(width) => table::fit(header, rows, hidden, width),
        None => table::whole(header, rows),
    };
    writeln!(out, "{text}")
}

/// The width of the terminal that is printed to, if any.
fn terminal_width() -> Option<usize> {
    // Some terminals do not know theirs.
    comfy_table::Table::new().width().map(usize::from).filter(|width| *width > 0)
}

/// How many of so many rows are left out in the middle.
fn hidden(count: usize) -> usize {
    if terminal_width().is_some() { count.saturating_sub(2 * table::ENDS) } else { 0 }
}

/// Prints the result of a query.
pub(crate) fn batches(common: &Common, batches: &[RecordBatch]) -> Result<(), Failure> {
    let mut out = stdout();
    let header: Vec<String> = batches
        .first()
        .map(|batch| batch.schema().fields().iter().map(|field| field.name().clone()).collect())
        .unwrap_or_default();
    match common.answer_format() {
        Format::Json => writeln!(out, "[{}]", json::objects(batches)?.join(",\n"))?,
        Format::Table => {
            let count = batches.iter().map(RecordBatch::num_rows).sum();
            let hidden = hidden(count);
            table(&mut out, header, texts(&without(batches, hidden))?, hidden)?;
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(&mut out);
            if !header.is_empty() {
                writer.write_record(&header).map_err(plain)?;
            }
            for line in texts(batches)? {
                writer.write_record(line).map_err(plain)?;
            }
            writer.flush()?;
        }
    }
    Ok(out.flush()?)
}

/// The rows without so many in the middle, after the first of them that are shown.
fn without(batches: &[RecordBatch], hidden: usize) -> Vec<RecordBatch> {
    let (mut start, mut kept) = (0, Vec::new());
    for batch in batches {
        let end = start + batch.num_rows();
        for (from, to) in [(start, end.min(table::ENDS)), (start.max(table::ENDS + hidden), end)] {
            if from < to {
                kept.push(batch.slice(from - start, to - from));
            }
        }
        start = end;
    }
    kept
}

/// The cells of each row.
fn texts(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, ArrowError> {
    let mut lines = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter();
        let columns: Vec<Cells<'_>> =
            columns.map(|values| Cells::of(values)).collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|values| values.text(row));
            lines.push(cells.collect::<Result<_, _>>()?);
        }
    }
    Ok(lines)
}

/// The system's own error where there is one, so that a closed pipe can be told.
fn plain(error: csv::Error) -> io::Error {
    let text = error.to_string();
    if let csv::ErrorKind::Io(error) = error.into_kind() { error } else { io::Error::other(text) }
}
