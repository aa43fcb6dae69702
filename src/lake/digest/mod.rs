//! Records of one session, in order, into rows.

mod book;
mod event;
mod finish;
mod oddity;
mod row;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as StdError,
    fmt::Write,
    mem,
    path::Path,
};

use foldhash::{HashMap, HashMapExt};
use serde::{Deserialize, Serialize};

use oddity::{Oddities, TORN};

use super::{
    Error,
    connection::Connection,
    hole::{Holes, Kind},
    ids::{Ids, Number},
    quote::{Moment, UNSET},
    report::{Outcome, SegmentReport},
    stream::End,
    table::{Batches, Counts, Rows},
};
use crate::protocol::{Header, Message, ParseError, Remedy, Sequences, Step, SubscriptionReply};
use crate::tape::{Body, Line, Record};

/// Digests one session, or one file of another recorder.
#[derive(Serialize, Deserialize)]
pub(super) struct Digester {
    ids: Ids,
    name: String,
    facts: Facts,
    conns: BTreeMap<u32, Connection>,
    /// The connection that bare frames belong to.
    current: u32,
    holes: Holes,
    markets: HashMap<Box<str>, Number>,
    #[serde(skip)]
    report: SegmentReport,
    oddities: Oddities,
    #[serde(skip)]
    pub(super) rows: Rows,
    /// Connections with records in `rows` whose time is not known yet.
    #[serde(skip)]
    untimed: BTreeSet<u32>,
    /// How many rows there were, table by table, before the first of these.
    #[serde(skip)]
    before: Counts,
    line: u64,
}

/// What a session says of itself, and its totals.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Facts {
    own: bool,
    version: Option<String>,
    env: Option<String>,
    host: Option<String>,
    first_ns: Option<i64>,
    last_ns: Option<i64>,
    segments: i64,
    lines: i64,
    frames: i64,
    events: i64,
    closed: bool,
}

/// The envelope of a frame, once it is known where it belongs.
struct Envelope {
    conn: u32,
    sid: Option<u64>,
    now: Moment,
}

impl Digester {
    pub(super) fn new(session: u32, name: &str) -> Self {
        Self {
            ids: Ids::new(session),
            name: name.to_owned(),
            facts: Facts::default(),
            conns: BTreeMap::new(),
            current: 1,
            holes: Holes::default(),
            markets: HashMap::new(),
            report: SegmentReport::default(),
            oddities: Oddities::default(),
            rows: Rows::default(),
            untimed: BTreeSet::new(),
            before: Counts::new(),
            line: 0,
        }
    }

    /// Names every market so far: numbers mean nothing to rows stored at another time.
    pub(super) fn name_all(&mut self) {
        for (ticker, &market) in &self.markets {
            name_market(market, ticker, &mut self.rows);
        }
    }

    /// A copy without rows, to look at the session as if it ended here.
    pub(super) fn fork(&self) -> Self {
        Self {
            ids: self.ids,
            facts: self.facts.clone(),
            conns: self.conns.clone(),
            current: self.current,
            holes: self.holes.clone(),
            markets: self.markets.clone(),
            oddities: self.oddities.clone(),
            line: self.line,
            ..Self::new(self.ids.session, &self.name)
        }
    }

    pub(super) fn start_segment(&mut self, path: &Path, new: bool) {
        self.report = SegmentReport {
            path: path.to_owned(),
            session: self.name.clone(),
            ..SegmentReport::default()
        };
        self.facts.segments += i64::from(new);
        if new {
            self.oddities.next_segment();
        }
    }

    pub(super) fn end_segment(&mut self, damage: Option<String>) -> SegmentReport {
        let mut report = mem::take(&mut self.report);
        report.damage = damage;
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        // A torn line is met again, whole, or not at all.
        self.facts.lines += whole(report.counts.lines - report.counts.torn);
        self.facts.frames += whole(report.counts.frames);
        self.facts.events += whole(report.counts.events);
        self.oddities.take(&report);
        report
    }

    /// How many oddities were met so far.
    pub(super) fn oddities(&self) -> u64 {
        self.oddities.count()
    }

    /// Whether records wait for a time.
    pub(super) fn waits(&self) -> bool {
        !self.untimed.is_empty()
    }

    /// Gives up waiting: takes the rows out from before the first record that waits for a time, and
    /// those since then, with the last time that is known.
    pub(super) fn take_waiting(&mut self) -> Result<(Batches, Batches), Error> {
        let counts = self.before.clone();
        self.settle_all();
        let (mut before, mut since) = (Batches::new(), Batches::new());
        for (table, batch) in self.rows.take()? {
            let count = count_of(&counts, table).min(batch.num_rows());
            let parts = [(&mut before, 0, count), (&mut since, count, batch.num_rows() - count)];
            for (batches, start, length) in parts {
                if length > 0 {
                    batches.push((table, batch.slice(start, length)));
                }
            }
        }
        Ok((before, since))
    }

    /// Takes one line; false where it is torn.
    pub(super) fn line(&mut self, line: Line<'_>) -> bool {
        self.line = line.number;
        self.report.counts.lines += 1;
        self.report.counts.bytes += line.bytes.len() as u64 + u64::from(line.ended);
        if line.bytes.trim_ascii().is_empty() {
            self.report.counts.blank += 1;
            return true;
        }
        let refused = match Record::parse(line.bytes) {
            Err(error) => chain(&error),
            Ok(Record { recv_ns, conn, body: Body::Event(event) }) => {
                self.report.counts.events += 1;
                self.event(recv_ns, conn, *event);
                return true;
            }
            Ok(Record { recv_ns, conn, body: Body::Frame(text) }) => match Message::read(&text) {
                Err(error) => chain(&error),
                Ok((header, message)) => {
                    let outcome = self.frame(recv_ns, conn, &text, &header, message);
                    self.report.counts.add(outcome);
                    return true;
                }
            },
        };
        if line.ended {
            self.report.counts.rubbish += 1;
            self.note("rubbish line", || refused);
        } else {
            self.report.counts.torn += 1;
            self.note(TORN, || refused);
        }
        line.ended
    }

    fn frame(
        &mut self,
        recv: Option<i64>,
        conn: Option<u32>,
        text: &str,
        header: &Header<'_>,
        message: Result<Message<'_>, ParseError>,
    ) -> Outcome {
        let number = conn.unwrap_or_else(|| self.infer_conn(header, message.as_ref().ok()));
        let event = message.as_ref().ok().and_then(event_time);
        let at = self.advance(number, recv, event);
        let mut seq = 0;
        if let (Some(sid), Some(next)) = (header.sid, header.seq) {
            let Ok(signed) = i64::try_from(next) else {
                self.note("number out of range", || next.to_string());
                return Outcome::Unreadable;
            };
            seq = signed;
            let Some(conn) = self.conns.get_mut(&number) else { return Outcome::Unreadable };
            match conn.sequences.check(sid, next) {
                Step::Next => {}
                Step::Gap { expected } => {
                    self.gap(number, (sid, expected, next), at, Witness::Frames);
                }
                Step::Repeat { expected } => {
                    let kind = header.kind();
                    self.note("repeated number", || {
                        format!("sid {sid}: expected {expected}, got {next} ({kind})")
                    });
                    if !self.starts_anew(number, (sid, next), at, text, kind) {
                        return Outcome::Repeat;
                    }
                }
            }
        }
        let envelope =
            Envelope { conn: number, sid: header.sid, now: Moment { at, recv, event, seq } };
        let outcome = match message {
            Ok(message) => self.message(&envelope, message, header),
            Err(error) => self.unreadable(&envelope, header.kind(), &error),
        };
        if let (Some(_), Some(conn)) = (header.seq, self.conns.get_mut(&number))
            && let Some(stream) = conn.stream(header.sid, &mut self.ids)
        {
            stream.last_ns = at;
            stream.last_seq = seq;
            stream.last_text.clear();
            stream.last_text.push_str(text);
        }
        outcome
    }

    /// A number came again. The last frame once more is harmless. Anything else means that the
    /// numbers count something else by now, so what was known of the subscription no longer is; a
    /// snapshot then starts it anew, and other frames are not applied.
    fn starts_anew(
        &mut self,
        number: u32,
        (sid, seq): (u64, u64),
        at: i64,
        text: &str,
        kind: &str,
    ) -> bool {
        let Some(conn) = self.conns.get(&number) else { return false };
        let stream = conn.streams.iter().rfind(|stream| stream.sid == Some(sid));
        if stream.is_some_and(|stream| stream.last_text == text) {
            return false;
        }
        let from = stream.map_or(at, |stream| stream.well_until(at));
        let cause = format!("number {seq} came again");
        self.doubt(number, Some(sid), (Kind::Repeat, End::Repeat), (from, at), &cause);
        let anew = kind == "orderbook_snapshot";
        if let Some(conn) = self.conns.get_mut(&number).filter(|_| anew) {
            conn.start_anew(sid, seq, &mut self.ids);
        }
        anew
    }

    /// Bare frames do not name their connection. A new one shows by a second `subscribed` of the
    /// same sid, or by numbers that start again.
    fn infer_conn(&mut self, header: &Header<'_>, message: Option<&Message<'_>>) -> u32 {
        let Some(conn) = self.conns.get(&self.current) else { return self.current };
        let restarts = match (header.sid, header.seq) {
            (Some(sid), Some(seq)) => conn.sequences.last(sid).is_some_and(|last| {
                seq <= last && (seq == 1 || header.kind() == "orderbook_snapshot")
            }),
            _ => match message {
                Some(Message::Subscribed(reply)) => conn.has_stream(reply.sid),
                _ => false,
            },
        };
        if restarts {
            self.current = self.conns.keys().next_back().map_or(1, |last| last + 1);
        }
        self.current
    }

    /// Moves the clock of a connection, and of the session.
    fn advance(&mut self, number: u32, recv: Option<i64>, event: Option<i64>) -> i64 {
        let conn =
            self.conns.entry(number).or_insert_with(|| Connection::new(Sequences::joined_late()));
        let early = conn.at.is_none();
        let at = conn.advance(recv, event);
        conn.frames += 1;
        if at == UNSET {
            if self.untimed.is_empty() {
                self.before = self.rows.counts();
            }
            self.untimed.insert(number);
        } else {
            if early {
                self.settle(number, at);
            }
            self.seen_at(at);
        }
        at
    }

    fn seen_at(&mut self, at: i64) {
        self.facts.first_ns = Some(self.facts.first_ns.map_or(at, |first| first.min(at)));
        self.facts.last_ns = Some(self.facts.last_ns.map_or(at, |last| last.max(at)));
    }

    /// Gives the first known time of a connection to what it brought before, and to earlier ones
    /// that have none.
    fn settle(&mut self, number: u32, time: i64) {
        let untimed = mem::take(&mut self.untimed);
        for number in untimed.iter().copied().chain([number]) {
            if let Some(conn) = self.conns.get_mut(&number) {
                conn.settle(time);
            }
            self.holes.settle(number, time);
        }
        if untimed.is_empty() {
            return;
        }
        let rows = &mut self.rows;
        for (table, times) in [
            ("book_event", &mut rows.BookEvents.at_ns),
            ("checkpoint", &mut rows.Checkpoints.at_ns),
            ("quote", &mut rows.Quotes.at_ns),
            ("trade", &mut rows.Trades.at_ns),
            ("ticker", &mut rows.Tickers.at_ns),
            ("lifecycle", &mut rows.Lifecycle.at_ns),
            ("span", &mut rows.Spans.from_ns),
            ("span", &mut rows.Spans.to_ns),
        ] {
            let since = times.0.iter_mut().skip(count_of(&self.before, table));
            since.filter(|at| **at == UNSET).for_each(|at| *at = time);
        }
    }

    fn message(&mut self, at: &Envelope, message: Message<'_>, header: &Header<'_>) -> Outcome {
        match message {
            Message::Delta(delta) => self.delta(at, &delta),
            Message::Snapshot(snapshot) => self.snapshot(at, &snapshot),
            Message::Ticker(ticker) => self.ticker(at, &ticker),
            Message::Trade(trade) => self.trade(at, &trade),
            Message::MarketLifecycle(step) => self.market_lifecycle(at, &step),
            Message::EventLifecycle(step) => self.event_lifecycle(at, &step, header),
            Message::Subscribed(reply) => self.subscribed(at, &reply, header.id),
            Message::Error(error) => {
                let text = format!("code {}: {}", error.code.0, error.text);
                if error.code.remedy() == Remedy::Resubscribe {
                    self.ended(at.conn, header.sid, at.now.at, &text);
                }
                self.note("refused command", || text);
                Outcome::Reply
            }
            Message::Other => match header.kind() {
                "ok" | "subscribed" => Outcome::Reply,
                "unsubscribed" => {
                    self.ended(at.conn, header.sid, at.now.at, "unsubscribed");
                    Outcome::Reply
                }
                "" => {
                    self.note("frame without a type", String::new);
                    Outcome::Other
                }
                kind => {
                    self.note(&format!("type `{kind}` without a table"), String::new);
                    Outcome::Other
                }
            },
        }
    }

    fn subscribed(
        &mut self,
        at: &Envelope,
        reply: &SubscriptionReply<'_>,
        id: Option<u64>,
    ) -> Outcome {
        if let Some(conn) = self.conns.get_mut(&at.conn) {
            conn.subscribed(reply.sid, &reply.channel, id, &mut self.ids);
        }
        self.holes.resubscribed(at.conn, &reply.channel, at.now.at);
        Outcome::Reply
    }

    /// The number of a market; a new one is named in the rows.
    fn market(&mut self, ticker: &str) -> Number {
        if let Some(&market) = self.markets.get(ticker) {
            return market;
        }
        let market = self.ids.next_market();
        self.markets.insert(ticker.into(), market);
        name_market(market, ticker, &mut self.rows);
        market
    }

    fn note(&mut self, kind: &str, reason: impl FnOnce() -> String) {
        self.report.note(kind, self.line, reason);
    }
}

fn count_of(counts: &Counts, table: &str) -> usize {
    counts.iter().find(|(name, _)| *name == table).map_or(0, |(_, count)| *count)
}

fn name_market(market: Number, ticker: &str, rows: &mut Rows) {
    rows.Markets.market.push(market);
    rows.Markets.ticker.push(Some(ticker));
    rows.Markets.end_row();
}

/// Who tells of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witness {
    Frames,
    Recorder,
}

fn event_time(message: &Message<'_>) -> Option<i64> {
    match message {
        Message::Delta(delta) => delta.event_ns,
        Message::Ticker(ticker) => ticker.event_ns,
        Message::Trade(trade) => trade.event_ns,
        Message::Snapshot(_)
        | Message::MarketLifecycle(_)
        | Message::EventLifecycle(_)
        | Message::Subscribed(_)
        | Message::Error(_)
        | Message::Other => None,
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // INVARIANT: writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
