//! Answers on standard output: tables for reading, CSV and JSON for programs.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use comfy_table::{CellAlignment, Table, presets};
use kalshi_orderbook::analysis::{
    Hole,
    arrow::{
        array::RecordBatch,
        error::ArrowError,
        util::display::{ArrayFormatter, FormatOptions},
    },
};
use serde::Serialize;

pub(crate) use super::common::warn;
use super::{Common, common::Format, failure::Failure, json, stdout::Stdout};

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
            let lines: Vec<Vec<String>> = reader
                .records()
                .map(|record| Ok(record?.iter().map(str::to_owned).collect()))
                .collect::<Result<_, csv::Error>>()?;
            let mut lines = lines.into_iter();
            match lines.next() {
                None => writeln!(out, "(no rows)")?,
                Some(header) => writeln!(out, "{}", table(header, lines))?,
            }
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

/// A table without frames: columns two blanks apart, numbers to the right.
pub(crate) fn table(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let mut rows: Vec<_> = rows.collect();
    for column in 0..header.len() {
        shorten(rows.iter_mut().filter_map(|row| row.get_mut(column)).collect());
    }
    let numeric = |text: &String| text.is_empty() || text.parse::<f64>().is_ok();
    let right: Vec<bool> = (0..header.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).all(numeric))
        .collect();
    table.set_header(header);
    table.add_rows(rows);
    for (column, right) in table.column_iter_mut().zip(right) {
        column.set_padding((0, 2));
        if right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Fractions with more digits than anyone reads lose them, and the column then lines up.
fn shorten(column: Vec<&mut String>) {
    const DIGITS: usize = 6;
    let fraction = |text: &str| text.split_once('.').map(|(_, digits)| digits.len());
    let number = |text: &String| text.parse::<f64>().is_ok_and(f64::is_finite);
    let fractions = |text: &String| text.is_empty() || text.contains(['.', 'e']) && number(text);
    let long = |text: &String| fraction(text).is_some_and(|digits| digits > DIGITS);
    let all = column.iter().all(|text| fractions(text));
    if !all || !column.iter().any(|text| long(text)) {
        return;
    }
    for text in column {
        if let Ok(value) = text.parse::<f64>() {
            let small = value != 0.0 && value.abs() < 1e-4;
            *text = if small { format!("{value:.3e}") } else { format!("{value:.DIGITS$}") };
        }
    }
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
        Format::Table => match texts(batches)? {
            lines if lines.is_empty() => writeln!(out, "(no rows)")?,
            lines => writeln!(out, "{}", table(header, lines.into_iter()))?,
        },
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

/// The cells of each row.
fn texts(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, ArrowError> {
    let options = FormatOptions::default();
    let mut lines = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter();
        let columns: Vec<ArrayFormatter<'_>> = columns
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<_, _>>()?;
        let cells = |row| columns.iter().map(|values| values.value(row).to_string()).collect();
        lines.extend((0..batch.num_rows()).map(cells));
    }
    Ok(lines)
}

/// The system's own error where there is one, so that a closed pipe can be told.
fn plain(error: csv::Error) -> io::Error {
    let text = error.to_string();
    if let csv::ErrorKind::Io(error) = error.into_kind() { error } else { io::Error::other(text) }
}
