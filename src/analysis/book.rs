//! The order book of a market at an instant.

use super::{
    Error, Nanos,
    market::{Market, Span},
    replay::{self, Replay},
};
use crate::book::Book;

/// A session that ends this soon after a connection did was being stopped.
const STOPPING_NS: i64 = 2_000_000_000;

/// How far a book can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Known to be right.
    Ok,
    /// Known to be right, and without any order.
    Empty,
    /// In a hole: the book is the last one that was right.
    Stale {
        /// Until when it was known to be right.
        since: Nanos,
        /// What ended that.
        reason: String,
    },
}

impl Status {
    /// `ok`, `empty` or `stale`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Empty => "empty",
            Self::Stale { .. } => "stale",
        }
    }
}

/// A rebuilt order book, where it comes from, and how far it can be trusted.
#[derive(Debug, Clone)]
pub struct MarketBook {
    /// The market.
    pub ticker: String,
    /// The instant asked for, ns since the epoch.
    pub at_ns: i64,
    /// The recording session, or the file of another recorder.
    pub session: String,
    /// The connection within the session.
    pub conn: i64,
    /// The subscription within the connection.
    pub sid: Option<i64>,
    /// The number of the last frame applied.
    pub seq: i64,
    /// When that frame was received, ns since the epoch, where the recorder kept it.
    pub recv_ns: Option<i64>,
    /// When the exchange recorded that change, ns since the epoch; snapshots do not say.
    pub event_ns: Option<i64>,
    /// The book.
    pub book: Book,
    /// How far it can be trusted.
    pub status: Status,
}

/// What names a sequenced message for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageName {
    /// The recording session, or the file of another recorder.
    pub session: String,
    /// The connection within the session.
    pub conn: i64,
    /// The subscription within the connection.
    pub sid: i64,
    /// The number within the subscription.
    pub seq: i64,
}

/// Which book is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    Newest,
    At(i64),
    Seq(i64),
    After(&'a MessageName),
}

pub(super) fn reconstruct(market: &Market<'_>, wanted: Wanted<'_>) -> Result<MarketBook, Error> {
    let ticker = || market.ticker().to_owned();
    let first = market.spans.iter().map(|span| span.from_ns).min();
    let Some(first) = first else { return Err(Error::NoBook(ticker())) };
    let choice = match wanted {
        Wanted::Newest => newest(market),
        Wanted::At(at) => at_instant(&market.spans, at),
        Wanted::Seq(seq) => at_number(market.spans.iter(), seq),
        Wanted::After(name) => {
            at_number(market.spans.iter().filter(|s| name.is_of(market, s)), name.seq)
        }
    };
    let Some(Choice { span, at_ns, to_seq, stale }) = choice else {
        return Err(match wanted {
            Wanted::Seq(seq) | Wanted::After(&MessageName { seq, .. }) => {
                Error::NoSuchNumber { ticker: ticker(), seq }
            }
            Wanted::Newest => Error::NoBook(ticker()),
            Wanted::At(at) => {
                Error::TooEarly { ticker: ticker(), asked: Nanos(at), first: Nanos(first) }
            }
        });
    };
    let until = if matches!(wanted, Wanted::At(_)) { at_ns.min(span.to_ns) } else { span.to_ns };
    let standing = Replay { to_seq, ..Replay::of(market, span) }.book(until)?;
    let (book, last) = (standing.book, standing.last.unwrap_or_default());
    let status = if stale {
        Status::Stale {
            since: Nanos(span.to_ns),
            reason: replay::reason(&span.ended_by).to_owned(),
        }
    } else if book.is_empty() {
        Status::Empty
    } else {
        Status::Ok
    };
    let stream = market.stream(span);
    Ok(MarketBook {
        ticker: ticker(),
        at_ns: if matches!(wanted, Wanted::Seq(_) | Wanted::After(_)) { last.at_ns } else { at_ns },
        session: stream.map(|stream| stream.session.clone()).unwrap_or_default(),
        conn: stream.map(|stream| stream.conn).unwrap_or_default(),
        sid: stream.and_then(|stream| stream.sid),
        seq: last.seq,
        recv_ns: last.recv_ns,
        event_ns: last.event_ns,
        book,
        status,
    })
}

impl MessageName {
    /// Whether the message may be in a span of a market.
    fn is_of(&self, market: &Market<'_>, span: &Span) -> bool {
        market.stream(span).is_some_and(|stream| {
            (&*stream.session, stream.conn, stream.sid)
                == (&*self.session, self.conn, Some(self.sid))
        })
    }
}

/// The rows to take, and whether the book they give is known to be right.
struct Choice<'s> {
    span: &'s Span,
    at_ns: i64,
    to_seq: i64,
    stale: bool,
}

/// The span that reaches farthest; of two that do, the one that started last.
fn latest<'s>(spans: impl Iterator<Item = &'s Span>) -> Option<&'s Span> {
    spans.max_by_key(|span| (span.to_ns, span.from_ns, span.span))
}

fn newest<'m>(market: &'m Market<'_>) -> Option<Choice<'m>> {
    let span = latest(market.spans.iter())?;
    let stale = match span.ended_by.as_str() {
        "end" | "snapshot" => false,
        // Our recorder asks for all its markets again, so one that did not come back is in a hole.
        // Others go on to other markets on a new connection.
        "disconnected" => market.stream(span).is_some_and(|stream| {
            stream.own && stream.session_last_ns.saturating_sub(span.to_ns) > STOPPING_NS
        }),
        _ => true,
    };
    Some(Choice {
        span,
        at_ns: span.to_ns.saturating_sub(1).max(span.from_ns),
        to_seq: span.to_seq,
        stale,
    })
}

fn at_instant(spans: &[Span], at: i64) -> Option<Choice<'_>> {
    let begun = || spans.iter().filter(|span| span.from_ns <= at);
    let live = begun().filter(|span| at < span.to_ns).max_by_key(|span| (span.from_ns, span.span));
    let span = live.or_else(|| latest(begun()))?;
    Some(Choice { span, at_ns: at, to_seq: span.to_seq, stale: live.is_none() })
}

fn at_number<'s>(spans: impl Iterator<Item = &'s Span> + Clone, seq: i64) -> Option<Choice<'s>> {
    let holds = |span: &&Span| span.from_seq <= seq && seq <= span.to_seq;
    if let Some(span) = latest(spans.clone().filter(holds)) {
        return Some(Choice { span, at_ns: span.to_ns, to_seq: seq, stale: false });
    }
    let before = latest(spans.filter(|span| span.to_seq < seq))?;
    let hole = !matches!(before.ended_by.as_str(), "snapshot" | "disconnected" | "end");
    hole.then_some(Choice { span: before, at_ns: before.to_ns, to_seq: before.to_seq, stale: true })
}
