//! Stored book rows back into books.

use duckdb::{Connection, arrow::record_batch::RecordBatch};

use super::{Error, database};
use crate::book::Book;
use crate::protocol::{Price, Side, Size};

/// A span of a market: which rows make a right book, and when.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) span: i64,
    pub(super) stream: i64,
    pub(super) from_ns: i64,
    pub(super) to_ns: i64,
    pub(super) from_seq: i64,
    pub(super) to_seq: i64,
    pub(super) ended_by: String,
    pub(super) session: String,
    pub(super) conn: i64,
    pub(super) sid: Option<i64>,
    /// The last record of the whole session.
    pub(super) session_last_ns: i64,
    /// Our own recorder wrote it.
    pub(super) own: bool,
}

/// A time in which the book of a market is known, and the span to take it from.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) from_ns: i64,
    pub(super) to_ns: i64,
    pub(super) span: Span,
}

/// A frame of a book stream, as the row's other columns have it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    pub(super) seq: i64,
    pub(super) at_ns: i64,
    pub(super) recv_ns: Option<i64>,
    pub(super) event_ns: Option<i64>,
}

/// The spans of a market, oldest first.
pub(super) fn spans(connection: &Connection, ticker: &str) -> Result<Vec<Span>, Error> {
    let fail = database::failed("ask for the spans of a market");
    let mut statement = connection.prepare(include_str!("sql/spans.sql")).map_err(&fail)?;
    let spans = statement.query_map([ticker], |row| {
        Ok(Span {
            span: row.get(0)?,
            stream: row.get(1)?,
            from_ns: row.get(2)?,
            to_ns: row.get(3)?,
            from_seq: row.get(4)?,
            to_seq: row.get(5)?,
            ended_by: row.get(6)?,
            session: row.get(7)?,
            conn: row.get(8)?,
            sid: row.get(9)?,
            session_last_ns: row.get(10)?,
            own: row.get(11)?,
        })
    });
    spans.and_then(Iterator::collect).map_err(fail)
}

/// Applies the rows of a span up to an instant. After each frame `each` sees the book as it stood
/// *before* it, with the marks of the frame that made it so and of the one that ends it.
pub(super) fn replay(
    connection: &Connection,
    ticker: &str,
    span: &Span,
    until_ns: i64,
    each: impl FnMut(&Book, Mark, Mark),
) -> Result<(Book, Mark), Error> {
    let params = duckdb::params![ticker, span.stream, span.from_seq, span.to_seq, until_ns];
    let batches =
        database::rows(connection, "book rows", include_str!("sql/book_rows.sql"), params)?;
    let mut state = (Book::new(), None);
    apply(&mut state, &batches, ticker, each)?;
    Ok((state.0, state.1.unwrap_or_default()))
}

/// The book of a span at an instant: from the last time that it was written down whole.
pub(super) fn book(
    connection: &Connection,
    ticker: &str,
    span: &Span,
    until_ns: i64,
) -> Result<(Book, Mark), Error> {
    let params = duckdb::params![ticker, span.stream, span.from_seq, span.to_seq, until_ns];
    let sql = include_str!("sql/checkpoint.sql");
    let whole = database::rows(connection, "a checkpoint", sql, params)?;
    let mut state = (Book::new(), None);
    apply(&mut state, &whole, ticker, |_, _, _| {})?;
    let from_seq = state.1.map_or(span.from_seq, |mark| mark.seq + 1);
    let params = duckdb::params![ticker, span.stream, from_seq, span.to_seq, until_ns];
    let sql = include_str!("sql/book_rows.sql");
    let changes = database::rows(connection, "book rows", sql, params)?;
    apply(&mut state, &changes, ticker, |_, _, _| {})?;
    Ok((state.0, state.1.unwrap_or_default()))
}

/// Applies rows of levels, in the order of their frames.
fn apply(
    (book, last): &mut (Book, Option<Mark>),
    batches: &[RecordBatch],
    ticker: &str,
    mut each: impl FnMut(&Book, Mark, Mark),
) -> Result<(), Error> {
    for batch in batches {
        let sides = database::integers(batch, 0);
        let levels = database::units(batch, 1).zip(database::units(batch, 2));
        let times = database::integers(batch, 5).zip(database::integers(batch, 6));
        let marks = database::integers(batch, 3).zip(database::integers(batch, 4)).zip(times);
        for ((side, level), ((seq, at_ns), (recv_ns, event_ns))) in sides.zip(levels).zip(marks) {
            let mark = Mark {
                seq: seq.unwrap_or_default(),
                at_ns: at_ns.unwrap_or_default(),
                recv_ns,
                event_ns,
            };
            if let Some(last) = last.filter(|last| last.seq != mark.seq) {
                each(book, last, mark);
            }
            *last = Some(mark);
            let side = match side {
                Some(1) => Side::Yes,
                Some(2) => Side::No,
                _ => continue,
            };
            let (Some(price), Some(size)) = level else { continue };
            let Ok(price) = Price::from_units(price) else { continue };
            book.apply(side, price, Size::from_units(size))
                .map_err(|source| Error::Rebuild { ticker: ticker.to_owned(), source })?;
        }
    }
    Ok(())
}

/// The pieces of time in which the book of a market is known, oldest first and without overlap.
pub(super) fn live(connection: &Connection, ticker: &str) -> Result<Vec<Piece>, Error> {
    let spans = spans(connection, ticker)?;
    let fail = database::failed("ask when a market is live");
    let sql = "SELECT from_ns, to_ns, span::BIGINT FROM lake.live($1) ORDER BY from_ns";
    let mut statement = connection.prepare(sql).map_err(&fail)?;
    let rows =
        statement.query_map([ticker], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)));
    let rows: Vec<_> = rows.and_then(Iterator::collect).map_err(&fail)?;
    let piece = |(from_ns, to_ns, number)| {
        let span = spans.iter().find(|span| span.span == number)?.clone();
        Some(Piece { from_ns, to_ns, span })
    };
    Ok(rows.into_iter().filter_map(piece).collect())
}

/// What ended a span, in words.
pub(super) fn reason(ended_by: &str) -> &'static str {
    match ended_by {
        "gap" => "frames of its subscription are missing",
        "negative" => "a level would have gone below zero, so frames are missing",
        "unreadable" => "a message of its subscription could not be read",
        "repeat" => "numbers of its subscription came again with other content",
        "ended" => "the exchange ended the subscription",
        "disconnected" => "the connection was down",
        "end" => "the recording ends there",
        _ => "the book was taken from elsewhere",
    }
}
