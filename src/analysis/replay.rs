//! Stored book rows back into books.

use arrow::{array::Int64Array, record_batch::RecordBatch};

use super::{
    Error,
    market::{Market, Span},
    rows::{self, Sides},
    source::Source,
};
use crate::book::{Book, Error as Wrong, TopLevels};
use crate::lake::Frames;
use crate::protocol::{Price, Side, Size};

/// The columns of levels with their times, and with all that tells their frames.
const LEVELS: &[&str] = &["side", "price", "size", "at_ns"];
const MARKED: &[&str] =
    &["side", "price", "size", "at_ns", "seq", "recv_off_ns", "event_us", "event_sub_ns"];

/// A frame of a book stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) seq: i64,
    pub(super) at_ns: i64,
    pub(super) recv_ns: Option<i64>,
    pub(super) event_ns: Option<i64>,
}

/// A book, and the last frame that is in it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) book: Book,
    pub(super) last: Option<Mark>,
}

/// Rows of one span, up to one of its frames and an instant.
#[derive(Clone, Copy)]
pub(super) struct Replay<'m> {
    pub(super) source: &'m Source<'m>,
    pub(super) span: &'m Span,
    pub(super) to_seq: i64,
}

impl<'m> Replay<'m> {
    /// All of a span.
    pub(super) const fn of(market: &'m Market<'m>, span: &'m Span) -> Self {
        Self { source: &market.source, span, to_seq: span.to_seq }
    }

    /// The book at an instant: from the last time that it was written down whole.
    pub(super) fn book(self, until_ns: i64) -> Result<Standing, Error> {
        let Standing { mut book, mut last } = self.checkpoint(until_ns)?;
        let (times, frames) = self.after(last, until_ns);
        self.source.scan_frames("book_event", MARKED, times, frames, |batch| {
            let (levels, marks) = (Levels::of(batch)?, Marks::of(batch)?);
            for (side, price, change) in levels.iter().flatten() {
                book.apply(side, price, change).map_err(|e| self.wrong(e))?;
            }
            last = batch.num_rows().checked_sub(1).map(|row| marks.at(row)).or(last);
            Ok(())
        })?;
        Ok(Standing { book, last })
    }

    /// The best `count` levels over `[from_ns, to_ns)`: `each` sees them as they stand from
    /// `from_ns` on, and then whenever they have changed, with the time of that.
    pub(super) fn walk(
        self,
        (from_ns, to_ns): (i64, i64),
        count: usize,
        mut each: impl FnMut(&TopLevels, i64),
    ) -> Result<(), Error> {
        let Standing { book, last } = self.checkpoint(from_ns)?;
        let mut top = TopLevels::of(&book, count);
        if last.is_some() {
            each(&top, from_ns);
        }
        let (times, frames) = self.after(last, to_ns.saturating_sub(1));
        self.source.scan_frames("book_event", LEVELS, times, frames, |batch| {
            let levels = Levels::of(batch)?;
            for (level, at_ns) in levels.iter().zip(rows::times(batch, "at_ns")?) {
                let Some((side, price, change)) = level else { continue };
                if top.apply(side, price, change).map_err(|e| self.wrong(e))? {
                    each(&top, from_ns.max(*at_ns));
                }
            }
            Ok(())
        })
    }

    /// The times and frames of the span after one of its frames, up to an instant.
    fn after(self, last: Option<Mark>, until_ns: i64) -> ((i64, i64), Frames) {
        let from_ns = last.map_or(self.span.from_ns, |last| last.at_ns);
        let frames = self.frames(last.map_or(i64::MIN, |last| last.seq));
        ((from_ns, until_ns.saturating_add(1)), frames)
    }

    /// The newest whole book up to an instant; an empty one, if there is none.
    fn checkpoint(self, until_ns: i64) -> Result<Standing, Error> {
        let mut standing = Standing::default();
        let (end_ns, frames) = (until_ns.saturating_add(1), self.frames(i64::MIN));
        let times = (self.span.from_ns, end_ns);
        let Some(last_ns) = self.source.last_of_frames("checkpoint", times, frames)? else {
            return Ok(standing);
        };
        self.source.scan_frames("checkpoint", MARKED, (last_ns, end_ns), frames, |batch| {
            let (levels, marks) = (Levels::of(batch)?, Marks::of(batch)?);
            for (row, level) in levels.iter().enumerate() {
                let mark = marks.at(row);
                if standing.last.is_none_or(|last| last.seq < mark.seq) {
                    standing = Standing { book: Book::new(), last: Some(mark) };
                }
                let Some((side, price, size)) = level else { continue };
                standing.book.apply(side, price, size).map_err(|e| self.wrong(e))?;
            }
            Ok(())
        })?;
        Ok(standing)
    }

    /// Frames of the span after one of them.
    fn frames(self, after_seq: i64) -> Frames {
        let from_seq = after_seq.saturating_add(1).max(self.span.from_seq);
        Frames { stream: self.span.stream, numbers: (from_seq, self.to_seq) }
    }

    fn wrong(self, source: Wrong) -> Error {
        Error::Rebuild { ticker: self.source.ticker.clone(), source }
    }
}

/// Rows of levels, or of changes of levels.
struct Levels<'b> {
    sides: Sides<'b>,
    prices: &'b [i32],
    sizes: &'b [i64],
}

impl<'b> Levels<'b> {
    fn of(batch: &'b RecordBatch) -> Result<Self, Error> {
        let (prices, sizes) = (rows::prices(batch, "price")?, rows::sizes(batch, "size")?);
        let sides = Sides::of(batch, "side")?;
        Ok(Self { sides, prices: prices.values(), sizes: sizes.values() })
    }

    /// What each row says; an empty book is a row that says nothing.
    fn iter(&self) -> impl Iterator<Item = Option<(Side, Price, Size)>> {
        let rows = self.sides.iter().zip(self.prices).zip(self.sizes);
        rows.map(|((side, price), size)| {
            // A row that has a side has all three.
            Some((side?, Price::from_units(i64::from(*price)).ok()?, Size::from_units(*size)))
        })
    }
}

/// What frames rows are of.
struct Marks<'b> {
    seqs: &'b [i64],
    times: &'b [i64],
    recv_offs: &'b Int64Array,
    events_us: &'b Int64Array,
    events_sub_ns: &'b Int64Array,
}

impl<'b> Marks<'b> {
    fn of(batch: &'b RecordBatch) -> Result<Self, Error> {
        Ok(Self {
            seqs: rows::times(batch, "seq")?,
            times: rows::times(batch, "at_ns")?,
            recv_offs: rows::whole(batch, "recv_off_ns")?,
            events_us: rows::whole(batch, "event_us")?,
            events_sub_ns: rows::whole(batch, "event_sub_ns")?,
        })
    }

    fn at(&self, row: usize) -> Mark {
        let at_ns = self.times.get(row).copied().unwrap_or_default();
        let rest = rows::get(self.events_sub_ns, row).unwrap_or_default();
        Mark {
            seq: self.seqs.get(row).copied().unwrap_or_default(),
            at_ns,
            recv_ns: rows::get(self.recv_offs, row).map(|off| at_ns.saturating_add(off)),
            event_ns: rows::get(self.events_us, row)
                .map(|us| us.saturating_mul(1_000).saturating_add(rest)),
        }
    }
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
