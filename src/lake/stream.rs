//! One subscription of one connection: its markets and their books.

use std::mem;

use foldhash::{HashMap, HashMapExt};
use serde::{Deserialize, Serialize};

use super::{
    ids::{Ids, Number},
    order::day_of,
    quote::{Moment, Quote, UNSET},
    table::{Rows, push_moment},
};
use crate::book::{Book, Error, Level};
use crate::protocol::{Price, Side, Size};

/// A book is written down whole after so many changes, so that no more have to be replayed; and on
/// the first change of a day, so that no other day's have to be read, but only where that is not
/// more than was written down of it since the last time.
const CHANGES_MAX: usize = 2_000;

/// What is known of a subscription.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stream {
    pub(super) number: Number,
    pub(super) sid: Option<u64>,
    pub(super) channel: Option<String>,
    /// NO levels are printed in YES dollars.
    pub(super) yes_price: bool,
    pub(super) markets: HashMap<Number, Market>,
    /// The last frame of the stream that was as it should be.
    pub(super) last_ns: i64,
    pub(super) last_seq: i64,
    /// That frame, to tell a harmless repetition from a number that was given twice.
    pub(super) last_text: String,
}

/// What a stream has of a market.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Market {
    first_ns: i64,
    last_ns: i64,
    /// The last time but one.
    #[serde(skip)]
    before_ns: i64,
    /// Changes applied since the last row of the whole book.
    changes: usize,
    snapshots: i64,
    deltas: i64,
    trades: i64,
    tickers: i64,
    pub(super) unknown: bool,
    live: Option<Live>,
}

/// A book that is known to be right.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "LiveState", into = "LiveState")]
struct Live {
    span: Number,
    from_ns: i64,
    from_seq: i64,
    book: Book,
    quote: Quote,
}

/// What of a live book is kept: its levels, from which the quote follows.
#[derive(Serialize, Deserialize)]
struct LiveState {
    span: Number,
    from_ns: i64,
    from_seq: i64,
    since: Moment,
    yes: Vec<(u16, i64)>,
    no: Vec<(u16, i64)>,
}

impl From<Live> for LiveState {
    fn from(live: Live) -> Self {
        let Live { span, from_ns, from_seq, book, quote } = live;
        let levels = |side| book.levels(side).map(|(price, size)| (price.units(), size.units()));
        let (yes, no) = (levels(Side::Yes).collect(), levels(Side::No).collect());
        Self { span, from_ns, from_seq, since: quote.since, yes, no }
    }
}

impl From<LiveState> for Live {
    fn from(state: LiveState) -> Self {
        let LiveState { span, from_ns, from_seq, since, yes, no } = state;
        let mut book = Book::new();
        for (side, levels) in [(Side::Yes, yes), (Side::No, no)] {
            for (price, size) in levels {
                let Ok(price) = Price::from_units(i64::from(price)) else { continue };
                if book.apply(side, price, Size::from_units(size)).is_err() {
                    // INVARIANT: the levels come from a book, so none is below zero.
                }
            }
        }
        Self { span, from_ns, from_seq, quote: Quote::of(&book, since), book }
    }
}

/// Why a span ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Snapshot,
    Gap,
    Negative,
    Unreadable,
    Repeat,
    Ended,
    Disconnected,
    Tape,
}

impl End {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Gap => "gap",
            Self::Negative => "negative",
            Self::Unreadable => "unreadable",
            Self::Repeat => "repeat",
            Self::Ended => "ended",
            Self::Disconnected => "disconnected",
            Self::Tape => "end",
        }
    }
}

/// What a message about a market counts as in [`Market`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    Snapshot,
    Delta,
    Trade,
    Ticker,
}

/// What became of a delta.
#[derive(Debug)]
pub(super) enum Applied {
    Done,
    /// No snapshot on this stream yet.
    NoSnapshot,
    /// In a hole, before the next snapshot.
    InHole,
    /// The book was wrong before.
    Wrong(Error),
}

/// What became of a snapshot.
#[derive(Debug)]
pub(super) enum Replaced {
    Done,
    /// The book rebuilt so far, thought to be right, was another one.
    Differs,
    /// The snapshot itself cannot be.
    Wrong(Error),
}

impl Stream {
    pub(super) fn new(number: Number, sid: Option<u64>, yes_price: bool) -> Self {
        Self {
            number,
            sid,
            channel: None,
            yes_price,
            markets: HashMap::new(),
            last_ns: UNSET,
            last_seq: 0,
            last_text: String::new(),
        }
    }

    /// Counts a message about a market.
    pub(super) fn see(&mut self, market: Number, at_ns: i64, seen: Seen) -> &mut Market {
        let entry = self.markets.entry(market).or_insert_with(|| Market {
            first_ns: at_ns,
            last_ns: at_ns,
            ..Market::default()
        });
        entry.before_ns = mem::replace(&mut entry.last_ns, at_ns);
        *match seen {
            Seen::Snapshot => &mut entry.snapshots,
            Seen::Delta => &mut entry.deltas,
            Seen::Trade => &mut entry.trades,
            Seen::Ticker => &mut entry.tickers,
        } += 1;
        entry
    }

    /// A price in no-leg dollars.
    pub(super) fn own_price(&self, side: Side, price: Price) -> Price {
        if self.yes_price && side == Side::No { price.complement() } else { price }
    }

    /// Replaces a market's book, which opens a span, but where an empty one stays empty.
    pub(super) fn snapshot(
        &mut self,
        market: Number,
        levels: [&[Level]; 2],
        now: Moment,
        ids: &mut Ids,
        rows: &mut Rows,
    ) -> Replaced {
        let (stream, last_seq) = (self.number, self.last_seq);
        let entry = self.see(market, now.at, Seen::Snapshot);
        let mut book = Book::new();
        let result = book.replace(levels[0], levels[1]);
        let was_empty = entry.live.as_ref().is_some_and(|before| before.book.is_empty());
        if result.is_ok() && book.is_empty() && was_empty {
            return Replaced::Done;
        }
        entry.changes = 0;
        let before = entry.live.take();
        let differs = before.as_ref().is_some_and(|before| before.book != book);
        if let Some(before) = before {
            before.write(market, stream, now.at, last_seq, End::Snapshot, rows);
        }
        if let Err(error) = result {
            return Replaced::Wrong(error);
        }
        let quote = Quote::of(&book, now);
        let span = ids.next_span();
        entry.live = Some(Live { span, from_ns: now.at, from_seq: now.seq, book, quote });
        if differs { Replaced::Differs } else { Replaced::Done }
    }

    /// Applies a change to a market's book where that is known to be right.
    pub(super) fn delta(
        &mut self,
        market: Number,
        (side, price, change): (Side, Price, Size),
        now: Moment,
        rows: &mut Rows,
    ) -> Applied {
        let stream = self.number;
        let entry = self.see(market, now.at, Seen::Delta);
        let Some(live) = &mut entry.live else {
            return if entry.snapshots > 0 { Applied::InHole } else { Applied::NoSnapshot };
        };
        if let Err(error) = live.book.apply(side, price, change) {
            return Applied::Wrong(error);
        }
        if !live.quote.stands_in(&live.book) {
            live.quote.write(&mut rows.Quotes, market, stream, live.span, now.at);
            live.quote = Quote::of(&live.book, now);
        }
        entry.changes += 1;
        let next_day = day_of(entry.before_ns) < day_of(now.at);
        if entry.changes >= CHANGES_MAX
            || (next_day && entry.changes >= live.book.depth(Side::Yes) + live.book.depth(Side::No))
        {
            entry.changes = 0;
            live.write_checkpoint(market, stream, now, rows);
        }
        Applied::Done
    }

    /// Ends the span of a market, if it has one.
    pub(super) fn close_market(
        &mut self,
        market: Number,
        to_ns: i64,
        end: End,
        rows: &mut Rows,
    ) -> bool {
        let (stream, last_seq) = (self.number, self.last_seq);
        let live = self.markets.get_mut(&market).and_then(|market| market.live.take());
        live.is_some_and(|live| {
            live.write(market, stream, to_ns, last_seq, end, rows);
            true
        })
    }

    /// Ends the spans of all markets; says which had one.
    pub(super) fn close_all(&mut self, to_ns: i64, end: End, rows: &mut Rows) -> Vec<Number> {
        let mut live: Vec<Number> =
            self.markets.iter().filter(|(_, m)| m.live.is_some()).map(|(n, _)| *n).collect();
        live.sort_unstable();
        for &market in &live {
            self.close_market(market, to_ns, end, rows);
        }
        live
    }

    /// Until when all was well, as seen from a frame at `now_ns` that shows that it is no more.
    pub(super) fn well_until(&self, now_ns: i64) -> i64 {
        if self.last_ns == UNSET { now_ns } else { now_ns.min(self.last_ns.saturating_add(1)) }
    }

    /// Gives the first known time to what happened before it.
    pub(super) fn settle(&mut self, time: i64) {
        let set = |at: &mut i64| {
            if *at == UNSET {
                *at = time;
            }
        };
        set(&mut self.last_ns);
        for market in self.markets.values_mut() {
            set(&mut market.first_ns);
            set(&mut market.last_ns);
            if let Some(live) = &mut market.live {
                set(&mut live.from_ns);
                set(&mut live.quote.since.at);
            }
        }
    }

    /// Writes what the stream is, and what it had of each market.
    pub(super) fn write(&self, session: &str, conn: u32, rows: &mut Rows) {
        let table = &mut rows.Streams;
        table.stream.push(self.number);
        table.session.push(Some(session));
        table.conn.push(Some(i64::from(conn)));
        table.sid.push(self.sid.and_then(|sid| i64::try_from(sid).ok()));
        table.channel.push(self.channel.as_deref());
        table.end_row();
        let mut markets: Vec<_> = self.markets.iter().collect();
        markets.sort_unstable_by_key(|(number, _)| **number);
        for (number, market) in markets {
            let table = &mut rows.Presence;
            table.ticker.push(*number);
            table.stream.push(self.number);
            table.first_ns.push(market.first_ns);
            table.last_ns.push(market.last_ns);
            table.snapshots.push(Some(market.snapshots));
            table.deltas.push(Some(market.deltas));
            table.trades.push(Some(market.trades));
            table.tickers.push(Some(market.tickers));
            table.unknown.push(Some(market.unknown));
            table.end_row();
        }
    }
}

impl Live {
    fn write_checkpoint(&self, market: Number, stream: Number, now: Moment, rows: &mut Rows) {
        let yes = self.book.levels(Side::Yes).map(|level| Some((Side::Yes, level)));
        let no = self.book.levels(Side::No).map(|level| Some((Side::No, level)));
        let none = self.book.is_empty().then_some(None);
        for level in yes.chain(no).chain(none) {
            let table = &mut rows.Checkpoints;
            push_moment!(table, now);
            table.ticker.push(market);
            table.stream.push(stream);
            table.span.push(self.span);
            table.seq.push(Some(now.seq));
            table.side.push_side(level.map(|(side, _)| side));
            table.price.push(level.map(|(_, (price, _))| price));
            table.size.push(level.map(|(_, (_, size))| size));
            table.end_row();
        }
    }

    fn write(
        self,
        market: Number,
        stream: Number,
        to_ns: i64,
        to_seq: i64,
        end: End,
        rows: &mut Rows,
    ) {
        let to_ns = to_ns.max(self.from_ns);
        self.quote.write(&mut rows.Quotes, market, stream, self.span, to_ns);
        let table = &mut rows.Spans;
        table.span.push(self.span);
        table.ticker.push(market);
        table.stream.push(stream);
        table.from_ns.push(self.from_ns);
        table.from_seq.push(Some(self.from_seq));
        table.to_ns.push(to_ns);
        table.to_seq.push(Some(to_seq.max(self.from_seq)));
        table.ended_by.push(Some(end.as_str()));
        table.end_row();
    }
}
