//! Tables for reading: without frames, columns two blanks apart, numbers to the right.

use std::ops::Range;

use comfy_table::{CellAlignment, Table, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::common::tame;

/// On a terminal, so many rows are shown from the beginning, and from the end.
pub(crate) const ENDS: usize = 50;
/// Stands for what is not shown.
const MORE: &str = "…";
/// Blanks between columns.
const BETWEEN: usize = BETWEEN_CELLS as usize;
const BETWEEN_CELLS: u16 = 2;

/// A table as wide and as long as it is.
pub(crate) fn whole(header: Vec<String>, mut rows: Vec<Vec<String>>) -> String {
    shorten(header.len(), &mut rows);
    lay(header, rows).to_string()
}

/// A table on a terminal of a width; columns that do not fit beside the others stand below them. Of
/// more rows than [`ENDS`] twice these are the first and the last, and `hidden` are left out between
/// them.
pub(crate) fn fit(
    mut header: Vec<String>,
    mut rows: Vec<Vec<String>>,
    hidden: usize,
    width: usize,
) -> String {
    let shown = rows.len();
    for text in rows.iter_mut().chain([&mut header]).flatten() {
        *text = tame(text);
    }
    shorten(header.len(), &mut rows);
    let mut numbers: Vec<String> =
        (0..shown).map(|row| (row + 1 + if row < ENDS { 0 } else { hidden }).to_string()).collect();
    if hidden > 0 {
        rows.insert(ENDS, vec![MORE.to_owned(); header.len()]);
        numbers.insert(ENDS, MORE.to_owned());
    }
    let beside = numbers.last().map_or(0, String::len) + BETWEEN;
    let room = width.saturating_sub(beside).max(1);
    let mut is_cut = false;
    for text in rows.iter_mut().chain([&mut header]).flatten() {
        is_cut |= cut(text, room);
    }
    let widths = lay(header.clone(), rows.clone()).column_max_content_widths();
    let blocks = blocks(&widths, width, room);
    let block = |columns: &Range<usize>| {
        let cells = |row: &[String]| row.get(columns.clone()).unwrap_or_default().to_vec();
        if blocks.len() == 1 {
            return lay(header.clone(), rows.clone()).to_string();
        }
        let with = |number: &str, row: &[String]| [vec![number.to_owned()], cells(row)].concat();
        let rows = numbers.iter().zip(&rows).map(|(number, row)| with(number, row));
        lay(with("", &header), rows.collect()).to_string()
    };
    let mut text = blocks.iter().map(block).collect::<Vec<_>>().join("\n\n");
    let mut notes = Vec::new();
    if hidden > 0 {
        notes.push(format!("{} rows, {shown} shown", shown + hidden));
    }
    if is_cut {
        notes.push("long texts are cut".to_owned());
    }
    if !notes.is_empty() {
        text += &format!("\n({}; --format csv has all)", notes.join(", "));
    }
    text
}

/// Columns that stand beside each other: all of them, or as many as have room.
fn blocks(widths: &[u16], width: usize, room: usize) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let all = widths.iter().map(|width| usize::from(*width) + BETWEEN).sum::<usize>();
    let room = if all <= width + BETWEEN { usize::MAX } else { room };
    let mut used = 0;
    for (column, width) in widths.iter().enumerate() {
        let width = usize::from(*width);
        match blocks.last_mut().filter(|_| used + BETWEEN + width <= room) {
            Some(block) => {
                block.end = column + 1;
                used += BETWEEN + width;
            }
            None => {
                blocks.push(column..column + 1);
                used = width;
            }
        }
    }
    blocks
}

/// Cuts a text whose lines are too long; whether it was.
fn cut(text: &mut String, room: usize) -> bool {
    if text.lines().all(|line| line.width() <= room) {
        return false;
    }
    let short = |line: &str| {
        if line.width() <= room {
            return line.to_owned();
        }
        let mut left = room.saturating_sub(MORE.width());
        let fits = |c: &char| {
            let rest = left.checked_sub(c.width().unwrap_or_default());
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        line.chars().take_while(fits).chain(MORE.chars()).collect()
    };
    *text = text.lines().map(short).collect::<Vec<_>>().join("\n");
    true
}

fn lay(header: Vec<String>, rows: Vec<Vec<String>>) -> Table {
    let numeric = |text: &String| text.is_empty() || text == MORE || text.parse::<f64>().is_ok();
    let right: Vec<bool> = (0..header.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).all(numeric))
        .collect();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    table.add_rows(rows);
    let last = right.len().saturating_sub(1);
    for (place, (column, right)) in table.column_iter_mut().zip(right).enumerate() {
        column.set_padding((0, if place < last { BETWEEN_CELLS } else { 0 }));
        if right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Takes away digits that nobody reads.
fn shorten(columns: usize, rows: &mut [Vec<String>]) {
    for column in 0..columns {
        let mut cells: Vec<_> = rows.iter_mut().filter_map(|row| row.get_mut(column)).collect();
        shorten_fractions(&mut cells);
        shorten_times(&mut cells);
    }
}

/// Fractions with more digits than anyone reads lose them, and the column then lines up.
fn shorten_fractions(column: &mut [&mut String]) {
    const DIGITS: usize = 6;
    let fraction = |text: &str| text.split_once('.').map(|(_, digits)| digits.len());
    // More digits than these are no double's.
    let is_double = |text: &str| {
        let number = text.split(['e', 'E']).next().unwrap_or_default();
        let digits = number.trim_start_matches(['-', '0', '.']);
        digits.bytes().filter(u8::is_ascii_digit).count() <= 17
    };
    let number = |text: &String| is_double(text) && text.parse::<f64>().is_ok_and(f64::is_finite);
    let fractions = |text: &String| {
        text.is_empty() || text == MORE || text.contains(['.', 'e']) && number(text)
    };
    let long = |text: &String| fraction(text).is_some_and(|digits| digits > DIGITS);
    let all = column.iter().all(|text| fractions(text));
    if !all || !column.iter().any(|text| long(text)) {
        return;
    }
    for text in column {
        if let Ok(value) = text.parse::<f64>() {
            let small = value != 0.0 && value.abs() < 1e-4;
            **text = if small { format!("{value:.3e}") } else { format!("{value:.DIGITS$}") };
        }
    }
}

/// Times lose the decimals that are 0 in all of them.
fn shorten_times(column: &mut [&mut String]) {
    let needed = column.iter().map(|text| match text.as_str() {
        "" | MORE => Some(0),
        text => {
            let (before, after) = text.split_at_checked("2026-05-11T05:33:41".len())?;
            let decimals = after.strip_prefix('.')?.trim_end_matches('Z');
            let is_time = before.as_bytes().get(10) == Some(&b'T')
                && decimals.bytes().all(|byte| byte.is_ascii_digit());
            is_time.then(|| decimals.trim_end_matches('0').len())
        }
    });
    let Some(needed) = needed.collect::<Option<Vec<_>>>() else { return };
    let needed = needed.into_iter().max().unwrap_or_default();
    for text in column {
        let Some((before, after)) = text.split_once('.') else { continue };
        let zone = if after.ends_with('Z') { "Z" } else { "" };
        let decimals = after.trim_end_matches('Z');
        let decimals = decimals.get(..needed).unwrap_or(decimals);
        let point = if needed == 0 { "" } else { "." };
        **text = format!("{before}{point}{decimals}{zone}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn times_have_the_decimals_that_are_needed() {
        let lines = |times: [&str; 2]| {
            let text = whole(texts(&["t"]), times.map(|time| vec![time.to_owned()]).into());
            text.lines().skip(1).map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
        };
        let [whole, milli] = ["2026-05-11T05:33:41.000000000Z", "2026-05-11T05:33:41.120000000Z"];
        assert_eq!(lines([whole, ""]), ["2026-05-11T05:33:41Z", ""]);
        assert_eq!(lines([whole, milli]), ["2026-05-11T05:33:41.00Z", "2026-05-11T05:33:41.12Z"]);
        assert_eq!(lines([whole, "a.b"]), [whole, "a.b"]);
        let short = "2026-05-11T05:33:41.1Z";
        assert_eq!(lines([short, milli]), [short, "2026-05-11T05:33:41.12Z"]);
        let exact = ["123456789012.12345678", "99999999999.99999999"];
        assert_eq!(lines(exact).iter().map(|line| line.trim()).collect::<Vec<_>>(), exact);
    }

    fn numbered(count: usize) -> Vec<Vec<String>> {
        (0..count).map(|row| vec![row.to_string(), format!("name {row}")]).collect()
    }

    #[test]
    fn what_fits_is_shown_as_it_is() {
        let text = fit(texts(&["n", "name"]), numbered(3), 0, 80);
        assert_eq!(text, whole(texts(&["n", "name"]), numbered(3)));
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn of_many_rows_the_ends_are_shown() {
        let text = fit(texts(&["n", "name"]), numbered(2 * ENDS), 1_234, 80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + ENDS + 1 + ENDS + 1);
        assert_eq!(lines[1 + ENDS].split_whitespace().collect::<Vec<_>>(), [MORE, MORE]);
        assert_eq!(*lines.last().unwrap(), "(1334 rows, 100 shown; --format csv has all)");
    }

    #[test]
    fn columns_without_room_stand_below_the_others() {
        let header: Vec<String> = (0..4).map(|n| format!("column_{n}")).collect();
        let rows = vec![vec!["0123456789".to_owned(); 4]; 12];
        let text = fit(header, rows, 0, 30);
        let words = |line: usize| text.lines().nth(line).unwrap().split_whitespace();
        assert_eq!(words(0).collect::<Vec<_>>(), ["column_0", "column_1"]);
        assert_eq!(words(12).collect::<Vec<_>>(), ["12", "0123456789", "0123456789"]);
        assert_eq!(words(13).count(), 0);
        assert_eq!(words(14).collect::<Vec<_>>(), ["column_2", "column_3"]);
        assert_eq!(text.lines().count(), 27, "{text}");
        assert!(text.lines().all(|line| line.trim_end().chars().count() <= 30), "{text}");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal_or_obeyed_by_it() {
        let rows = vec![texts(&["1", &"日本".repeat(40)]), texts(&["2", "\u{1b}[31mred\t!"])];
        let text = fit(texts(&["n", "name"]), rows, 0, 30);
        assert!(text.lines().take(3).all(|line| line.width() <= 30), "{text}");
        assert!(text.contains("\u{fffd}[31mred !"), "{text}");
        let wide = fit(texts(&["n", &"sum(x) ".repeat(20)]), vec![texts(&["1", "2"])], 0, 30);
        assert!(wide.lines().take(2).all(|line| line.width() <= 30), "{wide}");
        let rows = vec![texts(&["12345", "12345"])];
        assert_eq!(fit(texts(&["a", "b"]), rows, 0, 12).lines().last(), Some("12345  12345"));
    }

    #[test]
    fn a_text_longer_than_a_line_is_cut() {
        let rows = vec![texts(&["1", &"z".repeat(200)]); 3];
        let text = fit(texts(&["n", "json"]), rows, 0, 60);
        assert!(text.contains(&format!("{}…", "z".repeat(56))), "{text}");
        assert!(text.ends_with("(long texts are cut; --format csv has all)"), "{text}");
    }
}
