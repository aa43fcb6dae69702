//! Stored book rows back into books.

use arrow::{
    array::{Int64Array, PrimitiveArray},
    datatypes::{Decimal32Type, Decimal64Type},
    record_batch::RecordBatch,
};

use super::{
    Error,
    market::{Market, Span},
    rows::{self, Sides},
};
use crate::book::{self, Book, TopLevels};
use crate::lake::above;
use crate::protocol::{Price, Side, Size};

/// A whole book is looked for in so much time before an instant, and if there is none, in more.
const LOOKS_BACK_NS: [i64; 4] = [300_000_000_000, 3_600_000_000_000, 86_400_000_000_000, i64::MAX];

/// The columns of levels, without and with those that tell all of their frames.
const LEVELS: &[&str] = &["stream", "seq", "side", "price", "size", "at_ns"];
const MARKED: &[&str] =
    &["stream", "seq", "side", "price", "size", "at_ns", "recv_off_ns", "event_us", "event_sub_ns"];

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
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay<'m> {
    pub(super) market: &'m Market<'m>,
    pub(super) span: &'m Span,
    pub(super) to_seq: i64,
}

impl<'m> Replay<'m> {
    /// All of a span.
    pub(super) const fn of(market: &'m Market<'m>, span: &'m Span) -> Self {
        Self { market, span, to_seq: span.to_seq }
    }

    /// The book at an instant: from the last time that it was written down whole.
    pub(super) fn book(self, until_ns: i64) -> Result<Standing, Error> {
        let mut standing = self.checkpoint(until_ns)?;
        let from_ns = standing.last.map_or(self.span.from_ns, |mark| mark.at_ns);
        let (start, times) = (standing.last, (from_ns, until_ns));
        let last = self.changes(start, times, MARKED, |side, price, change, _| {
            standing.book.apply(side, price, change)
        })?;
        standing.last = last.or(start);
        Ok(standing)
    }

    /// The best `count` levels over `[from_ns, to_ns)`: `each` sees them as they stand from
    /// `from_ns` on, and then whenever they have changed, with the time of that.
    pub(super) fn walk(
        self,
        (from_ns, to_ns): (i64, i64),
        count: usize,
        mut each: impl FnMut(&TopLevels, i64),
    ) -> Result<(), Error> {
        let standing = self.checkpoint(from_ns)?;
        let start_ns = standing.last.map_or(self.span.from_ns, |mark| mark.at_ns);
        let mut top = TopLevels::of(&standing.book, count);
        if standing.last.is_some() {
            each(&top, from_ns);
        }
        let times = (start_ns, to_ns.saturating_sub(1));
        self.changes(standing.last, times, LEVELS, |side, price, change, at_ns| {
            if top.apply(side, price, change)? {
                each(&top, at_ns.max(from_ns));
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The newest whole book up to an instant; an empty one, if there is none.
    fn checkpoint(self, until_ns: i64) -> Result<Standing, Error> {
        for back_ns in LOOKS_BACK_NS {
            let from_ns = until_ns.saturating_sub(back_ns).max(self.span.from_ns);
            let mut standing = Standing::default();
            let times = (from_ns, until_ns.saturating_add(1));
            self.market.scan("checkpoint", MARKED, times, |place, batch| {
                let levels = Levels::of(self, place, batch)?;
                for row in levels.rows() {
                    let newest = standing.last.map_or(i64::MIN, |last| last.seq);
                    let seq = levels.seq(row);
                    if seq > newest {
                        standing = Standing { book: Book::new(), last: Some(levels.mark(row)) };
                    }
                    if seq >= newest {
                        let Some((side, price, size)) = levels.level(row) else { continue };
                        standing.book.apply(side, price, size).map_err(|e| self.wrong(e))?;
                    }
                }
                Ok(())
            })?;
            if standing.last.is_some() || from_ns <= self.span.from_ns {
                return Ok(standing);
            }
        }
        Ok(Standing::default())
    }

    /// Gives the changes after a frame to `apply`, with their times. Returns the last frame.
    fn changes(
        self,
        start: Option<Mark>,
        (from_ns, until_ns): (i64, i64),
        columns: &[&'static str],
        mut apply: impl FnMut(Side, Price, Size, i64) -> Result<(), book::Error>,
    ) -> Result<Option<Mark>, Error> {
        let start_seq = start.map_or(i64::MIN, |last| last.seq);
        let times = (from_ns, until_ns.saturating_add(1));
        let mut last = None;
        self.market.scan("book_event", columns, times, |place, batch| {
            let levels = Levels::of(self, place, batch)?;
            let mut last_row = None;
            for row in levels.rows().filter(|row| levels.seq(*row) > start_seq) {
                last_row = Some(row);
                let Some((side, price, change)) = levels.level(row) else { continue };
                apply(side, price, change, levels.at_ns(row)).map_err(|e| self.wrong(e))?;
            }
            last = last_row.map(|row| levels.mark(row)).or(last);
            Ok(())
        })?;
        Ok(last)
    }

    fn wrong(self, source: book::Error) -> Error {
        Error::Rebuild { ticker: self.market.ticker.clone(), source }
    }
}

/// Rows of levels, and which of them are of a span.
struct Levels<'b> {
    of: Replay<'b>,
    stream: u64,
    streams: &'b [u64],
    seqs: &'b [i64],
    times: &'b [i64],
    sides: Sides<'b>,
    prices: &'b PrimitiveArray<Decimal32Type>,
    sizes: &'b PrimitiveArray<Decimal64Type>,
    /// The receive time less the other, and the two parts of the event time, if they are read.
    marks: Option<[&'b Int64Array; 3]>,
}

impl<'b> Levels<'b> {
    fn of(of: Replay<'b>, place: usize, batch: &'b RecordBatch) -> Result<Self, Error> {
        let marks = match batch.column_by_name("recv_off_ns") {
            Some(_) => {
                let [recv, event, rest] = ["recv_off_ns", "event_us", "event_sub_ns"]
                    .map(|name| rows::whole(batch, name));
                Some([recv?, event?, rest?])
            }
            None => None,
        };
        Ok(Self {
            of,
            stream: of.span.stream.wrapping_sub(above(place, 0)),
            streams: rows::ids(batch, "stream")?,
            seqs: rows::times(batch, "seq")?,
            times: rows::times(batch, "at_ns")?,
            sides: Sides::of(batch, "side")?,
            prices: rows::prices(batch, "price")?,
            sizes: rows::sizes(batch, "size")?,
            marks,
        })
    }

    /// The rows that are of the span.
    fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let (from, to) = (self.of.span.from_seq, self.of.to_seq);
        let rows = self.streams.iter().zip(self.seqs).enumerate();
        let own =
            move |(stream, seq): (&u64, &i64)| *stream == self.stream && from <= *seq && *seq <= to;
        rows.filter(move |(_, row)| own(*row)).map(|(row, _)| row)
    }

    fn seq(&self, row: usize) -> i64 {
        self.seqs.get(row).copied().unwrap_or_default()
    }

    fn at_ns(&self, row: usize) -> i64 {
        self.times.get(row).copied().unwrap_or_default()
    }

    fn mark(&self, row: usize) -> Mark {
        let at_ns = self.at_ns(row);
        let [recv_off, event_us, rest] =
            self.marks.map_or([None; 3], |marks| marks.map(|column| rows::get(column, row)));
        Mark {
            seq: self.seq(row),
            at_ns,
            recv_ns: recv_off.map(|off| at_ns.saturating_add(off)),
            event_ns: event_us
                .map(|us| us.saturating_mul(1_000).saturating_add(rest.unwrap_or_default())),
        }
    }

    /// A level, or the change of one; an empty book is a row of none.
    #[inline]
    fn level(&self, row: usize) -> Option<(Side, Price, Size)> {
        let price = Price::from_units(i64::from(rows::get(self.prices, row)?)).ok()?;
        Some((self.sides.get(row)?, price, Size::from_units(rows::get(self.sizes, row)?)))
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
