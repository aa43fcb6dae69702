//! Records of one session, in order, into rows.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error as StdError,
    fmt::Write,
    path::Path,
};

use super::{
    connection::Connection,
    hole::{Hole, Holes, Kind},
    quote::{Moment, UNSET},
    registry::Registry,
    report::{Outcome, SegmentReport},
    stream::{Applied, End, Replaced, Seen},
    table::Rows,
};
use crate::protocol::{
    Delta, EventLifecycle, Header, MarketLifecycle, Message, NotJson, ParseError, Sequences, Side,
    Size, Snapshot, SubscriptionReply, TickerUpdate, Trade, quick,
};
use crate::tape::{Body, Event, Line, Record};

/// `DECIMAL(18,2)` holds less than this many hundredths.
const SIZE_UNITS_END: u64 = 1_000_000_000_000_000_000;

/// Digests one session, or one file of another recorder.
pub(super) struct Digester<'r> {
    registry: &'r Registry,
    session: u32,
    name: String,
    facts: Facts,
    conns: BTreeMap<u32, Connection>,
    /// The connection that bare frames belong to.
    current: u32,
    holes: Holes,
    markets: HashMap<Box<str>, u32>,
    report: SegmentReport,
    pub(super) rows: Rows,
    /// Records stand in `rows` whose time is not known yet.
    pub(super) untimed: bool,
    line: u64,
}

/// What a session says of itself, and its totals.
#[derive(Default)]
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

impl<'r> Digester<'r> {
    pub(super) fn new(registry: &'r Registry, name: &str) -> Self {
        Self {
            registry,
            session: registry.session(name),
            name: name.to_owned(),
            facts: Facts::default(),
            conns: BTreeMap::new(),
            current: 1,
            holes: Holes::default(),
            markets: HashMap::new(),
            report: SegmentReport::default(),
            rows: Rows::default(),
            untimed: false,
            line: 0,
        }
    }

    pub(super) fn start_segment(&mut self, path: &Path) {
        self.report = SegmentReport {
            path: path.to_owned(),
            session: self.name.clone(),
            ..SegmentReport::default()
        };
        self.facts.segments += 1;
    }

    pub(super) fn end_segment(&mut self, damage: Option<String>) -> SegmentReport {
        let mut report = std::mem::take(&mut self.report);
        report.damage = damage;
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.facts.lines += whole(report.counts.lines);
        self.facts.frames += whole(report.counts.frames);
        self.facts.events += whole(report.counts.events);
        report
    }

    /// Takes one line.
    pub(super) fn line(&mut self, line: Line<'_>) {
        self.line = line.number;
        self.report.counts.lines += 1;
        self.report.counts.bytes += line.bytes.len() as u64 + u64::from(line.ended);
        if line.bytes.trim_ascii().is_empty() {
            self.report.counts.blank += 1;
            return;
        }
        let refused = match Record::parse(line.bytes) {
            Err(error) => chain(&error),
            Ok(Record { recv_ns, conn, body: Body::Event(event) }) => {
                self.report.counts.events += 1;
                self.event(recv_ns, conn, *event);
                return;
            }
            Ok(Record { recv_ns, conn, body: Body::Frame(text) }) => match parse(&text) {
                Err(error) => chain(&error),
                Ok((header, message)) => {
                    let outcome = self.frame(recv_ns, conn, &header, message);
                    self.report.counts.add(outcome);
                    return;
                }
            },
        };
        if line.ended {
            self.report.counts.rubbish += 1;
            self.note("rubbish line", || refused);
        } else {
            self.report.counts.torn += 1;
            self.note("torn last line", || refused);
        }
    }

    /// Ends the session: whatever is open is closed, and what is known of it as a whole written.
    pub(super) fn finish(&mut self) {
        let numbers: Vec<u32> = self.conns.keys().copied().collect();
        for &number in &numbers {
            self.settle(number, 0);
        }
        let last_ns = self.facts.last_ns.unwrap_or_default();
        self.note_reconnections();
        for number in numbers {
            let Some(conn) = self.conns.get_mut(&number) else { continue };
            // Our recorder would have said that a connection ended; of others only the frames tell.
            let alive_ns = if self.facts.own { last_ns } else { conn.at.unwrap_or_default() };
            let (ended_by, end_ns) = *conn.over.get_or_insert(("end", alive_ns.saturating_add(1)));
            for stream in &mut conn.streams {
                stream.close_all(end_ns, End::Tape, &mut self.rows);
                stream.write((self.session, &self.name), number, &mut self.rows);
            }
            let table = &mut self.rows.Connections;
            table.session.push(self.session);
            table.conn.push(Some(i64::from(number)));
            table.first_ns.push(conn.first_ns);
            table.end_ns.push(end_ns);
            table.ended_by.push(Some(ended_by));
            table.frames.push(i64::try_from(conn.frames).ok());
            table.end_row();
        }
        self.holes.write(self.session, self.registry, &mut self.rows);
        self.write_session();
    }

    fn write_session(&mut self) {
        let facts = &self.facts;
        let table = &mut self.rows.Sessions;
        table.session.push(self.session);
        table.name.push(Some(&self.name));
        table.version.push(facts.version.as_deref());
        table.env.push(facts.env.as_deref());
        table.host.push(facts.host.as_deref());
        table.first_ns.push(facts.first_ns);
        table.last_ns.push(facts.last_ns);
        table.segments.push(Some(facts.segments));
        table.lines.push(Some(facts.lines));
        table.frames.push(Some(facts.frames));
        table.events.push(Some(facts.events));
        table.closed.push(facts.own.then_some(facts.closed));
        table.own.push(Some(facts.own));
        table.end_row();
    }

    /// Other recorders do not say when a connection ended: where one is silent before the next one
    /// starts, it had.
    fn note_reconnections(&mut self) {
        let starts: Vec<(u32, i64)> = self.conns.iter().map(|(n, c)| (*n, c.first_ns)).collect();
        for (number, conn) in &mut self.conns {
            if self.facts.own || conn.over.is_some() {
                continue;
            }
            let last_ns = conn.at.unwrap_or_default();
            let later = starts.iter().filter(|(n, first)| n > number && *first >= last_ns);
            let Some(found_ns) = later.map(|(_, first)| *first).min() else { continue };
            let end_ns = last_ns.saturating_add(1);
            let mut markets = Vec::new();
            for stream in &mut conn.streams {
                markets.extend(stream.close_all(end_ns, End::Disconnected, &mut self.rows));
            }
            conn.over = Some(("disconnected", end_ns));
            markets.sort_unstable();
            markets.dedup();
            self.holes.add(Hole {
                kind: Kind::Disconnected,
                conn: *number,
                sid: None,
                channel: None,
                expected: None,
                got: None,
                from_ns: last_ns,
                found_ns,
                declared: false,
                found: true,
                cause: None,
                markets,
            });
        }
    }

    fn frame(
        &mut self,
        recv: Option<i64>,
        conn: Option<u32>,
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
                crate::protocol::Step::Next => {}
                crate::protocol::Step::Gap { expected } => {
                    self.gap(number, (sid, expected, next), at, Witness::Frames);
                }
                crate::protocol::Step::Repeat { expected } => {
                    let kind = header.kind();
                    self.note("repeated number", || {
                        format!("sid {sid}: expected {expected}, got {next} ({kind})")
                    });
                    return Outcome::Repeat;
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
            && let Some(stream) = conn.stream(header.sid, self.registry)
        {
            stream.last_ns = at;
            stream.last_seq = seq;
        }
        outcome
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
            let number = self.current;
            self.settle(number, 0);
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
            self.untimed = true;
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

    /// Gives the first known time of a connection to what it brought before.
    fn settle(&mut self, number: u32, time: i64) {
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.settle(time);
        }
        if !self.untimed {
            return;
        }
        self.untimed = false;
        self.holes.settle(number, time);
        let rows = &mut self.rows;
        for column in [
            &mut rows.BookEvents.at_ns,
            &mut rows.Quotes.at_ns,
            &mut rows.Quotes.until_ns,
            &mut rows.Trades.at_ns,
            &mut rows.Tickers.at_ns,
            &mut rows.Lifecycle.at_ns,
            &mut rows.Spans.from_ns,
            &mut rows.Spans.to_ns,
        ] {
            for at in column.0.iter_mut().filter(|at| **at == UNSET) {
                *at = time;
            }
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
                self.note("refused command", || format!("code {}: {}", error.code.0, error.text));
                Outcome::Reply
            }
            Message::Other => match header.kind() {
                "ok" | "unsubscribed" | "subscribed" => Outcome::Reply,
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
            conn.subscribed(reply.sid, &reply.channel, id, self.registry);
        }
        Outcome::Reply
    }

    fn market(&mut self, ticker: &str) -> u32 {
        if let Some(&market) = self.markets.get(ticker) {
            return market;
        }
        let market = self.registry.market(ticker);
        self.markets.insert(ticker.into(), market);
        market
    }

    /// A book message that cannot be placed in its stream cannot be applied either.
    fn unnumbered(&mut self, at: &Envelope) -> bool {
        let unnumbered = at.sid.is_none() || at.now.seq == 0;
        if unnumbered {
            self.note("book message without a number", String::new);
        }
        unnumbered
    }

    fn snapshot(&mut self, at: &Envelope, snapshot: &Snapshot<'_>) -> Outcome {
        let levels = snapshot.yes.iter().chain(&snapshot.no);
        if self.unnumbered(at) || !levels.clone().all(|level| fits(level.1)) {
            return Outcome::Unreadable;
        }
        let market = self.market(&snapshot.ticker);
        let registry = self.registry;
        let rows = &mut self.rows;
        let Some(stream) = self.conns.get_mut(&at.conn).and_then(|c| c.stream(at.sid, registry))
        else {
            return Outcome::Unreadable;
        };
        stream.channel.get_or_insert_with(|| "orderbook_delta".to_owned());
        let empty = snapshot.yes.is_empty() && snapshot.no.is_empty();
        if empty && snapshot.market_id.as_deref() == Some("") {
            stream.see(market, at.now.at, Seen::Snapshot).unknown = true;
            self.note("unknown market", || snapshot.ticker.to_string());
            return Outcome::Snapshot;
        }
        let converted: Vec<_>;
        let no = if stream.yes_price {
            let own = |&(price, size)| (stream.own_price(Side::No, price), size);
            converted = snapshot.no.iter().map(own).collect();
            &converted
        } else {
            &snapshot.no
        };
        let both = [(Side::Yes, &snapshot.yes), (Side::No, no)];
        for (side, ladder) in both {
            for &(price, size) in ladder {
                push_book_event(rows, at, market, stream.number, 0, Some((side, price, size)));
            }
        }
        if empty {
            push_book_event(rows, at, market, stream.number, 0, None);
        }
        match stream.snapshot(market, [&snapshot.yes, no], at.now, registry, rows) {
            Replaced::Done => self.holes.snapshot(market, at.now.at),
            Replaced::Differs => {
                self.holes.snapshot(market, at.now.at);
                self.note("snapshot unlike the book before it", || snapshot.ticker.to_string());
            }
            Replaced::Wrong(error) => self.note("impossible snapshot", || error.to_string()),
        }
        Outcome::Snapshot
    }

    fn delta(&mut self, at: &Envelope, delta: &Delta<'_>) -> Outcome {
        if self.unnumbered(at) || !fits(delta.change) {
            return Outcome::Unreadable;
        }
        let market = self.market(&delta.ticker);
        let registry = self.registry;
        let rows = &mut self.rows;
        let Some(stream) = self.conns.get_mut(&at.conn).and_then(|c| c.stream(at.sid, registry))
        else {
            return Outcome::Unreadable;
        };
        let price = stream.own_price(delta.side, delta.price);
        let change = (delta.side, price, delta.change);
        push_book_event(rows, at, market, stream.number, 1, Some(change));
        match stream.delta(market, change, at.now, rows) {
            Applied::Done => {}
            Applied::NoSnapshot => {
                self.note("delta without a snapshot", || delta.ticker.to_string());
            }
            Applied::InHole => self.note("delta in a hole", || delta.ticker.to_string()),
            Applied::Wrong(error) => {
                let from_ns = stream.well_until(at.now.at);
                stream.close_market(market, from_ns, End::Negative, rows);
                let hole = Hole {
                    kind: Kind::Negative,
                    conn: at.conn,
                    sid: at.sid,
                    channel: stream.channel.clone(),
                    expected: None,
                    got: u64::try_from(at.now.seq).ok(),
                    from_ns: stream.last_ns,
                    found_ns: at.now.at,
                    declared: false,
                    found: true,
                    cause: Some(format!("{}: {error}", delta.ticker)),
                    markets: vec![market],
                };
                self.holes.add(hole);
                self.note("level below zero", || format!("{}: {error}", delta.ticker));
            }
        }
        Outcome::Delta
    }

    /// What was in the frame is not known, so the books of its subscription are unsure.
    fn unreadable(&mut self, at: &Envelope, kind: &str, error: &ParseError) -> Outcome {
        let name = if matches!(error, ParseError::Foreign(_)) {
            "other protocol"
        } else {
            "unreadable message"
        };
        self.note(name, || format!("{kind}: {}", chain(error)));
        if matches!(kind, "orderbook_delta" | "orderbook_snapshot")
            && let Some(conn) = self.conns.get_mut(&at.conn)
            && let Some(stream) = conn.stream(at.sid, self.registry)
        {
            let until = stream.well_until(at.now.at);
            let markets = stream.close_all(until, End::Unreadable, &mut self.rows);
            if !markets.is_empty() {
                self.holes.add(Hole {
                    kind: Kind::Unreadable,
                    conn: at.conn,
                    sid: at.sid,
                    channel: stream.channel.clone(),
                    expected: None,
                    got: u64::try_from(at.now.seq).ok(),
                    from_ns: stream.last_ns,
                    found_ns: at.now.at,
                    declared: false,
                    found: true,
                    cause: Some(chain(error)),
                    markets,
                });
            }
        }
        Outcome::Unreadable
    }

    fn gap(&mut self, number: u32, missing: (u64, u64, u64), at: i64, witness: Witness) {
        let (sid, expected, got) = missing;
        if let Some(hole) = self.holes.find(number, sid, expected, got) {
            hole.declared |= witness == Witness::Recorder;
            hole.found |= witness == Witness::Frames;
            return;
        }
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let Some(stream) = conn.stream(Some(sid), self.registry) else { return };
        let until = stream.well_until(at);
        let markets = stream.close_all(until, End::Gap, &mut self.rows);
        self.holes.add(Hole {
            kind: Kind::Sequence,
            conn: number,
            sid: Some(sid),
            channel: stream.channel.clone(),
            expected: Some(expected),
            got: Some(got),
            from_ns: if stream.last_ns == UNSET { at } else { stream.last_ns },
            found_ns: at,
            declared: witness == Witness::Recorder,
            found: witness == Witness::Frames,
            cause: None,
            markets,
        });
        self.note("gap", || format!("sid {sid}: expected {expected}, got {got}"));
    }

    fn ticker(&mut self, at: &Envelope, ticker: &TickerUpdate<'_>) -> Outcome {
        let sizes = [
            ticker.yes_bid_size,
            ticker.yes_ask_size,
            ticker.last_trade_size,
            ticker.volume,
            ticker.open_interest,
        ];
        if !sizes.into_iter().flatten().all(fits) {
            return Outcome::Unreadable;
        }
        let Some((market, stream)) = self.see(at, &ticker.ticker, "ticker", Seen::Ticker) else {
            return Outcome::Unreadable;
        };
        let table = &mut self.rows.Tickers;
        table.at_ns.push(at.now.at);
        table.recv.push(at.now.recv);
        table.event.push(at.now.event);
        table.market.push(market);
        table.stream.push(stream);
        table.price.push(ticker.price);
        table.yes_bid.push(ticker.yes_bid);
        table.yes_ask.push(ticker.yes_ask);
        table.yes_bid_size.push(ticker.yes_bid_size);
        table.yes_ask_size.push(ticker.yes_ask_size);
        table.last_trade_size.push(ticker.last_trade_size);
        table.volume.push(ticker.volume);
        table.open_interest.push(ticker.open_interest);
        table.dollar_volume.push(ticker.dollar_volume);
        table.dollar_open_interest.push(ticker.dollar_open_interest);
        table.end_row();
        Outcome::Ticker
    }

    fn trade(&mut self, at: &Envelope, trade: &Trade<'_>) -> Outcome {
        if !fits(trade.size) {
            return Outcome::Unreadable;
        }
        let Some((market, stream)) = self.see(at, &trade.ticker, "trade", Seen::Trade) else {
            return Outcome::Unreadable;
        };
        let table = &mut self.rows.Trades;
        table.at_ns.push(at.now.at);
        table.recv.push(at.now.recv);
        table.event.push(at.now.event);
        table.market.push(market);
        table.stream.push(stream);
        table.seq.push((at.now.seq != 0).then_some(at.now.seq));
        table.trade_id.push(trade.trade_id.as_deref());
        table.price.push(Some(trade.price));
        table.no_price.push(Some(trade.no_price));
        table.size.push(Some(trade.size));
        table.taker_side.push_side(trade.taker_side);
        table.is_block.push(trade.is_block);
        table.end_row();
        Outcome::Trade
    }

    /// Counts a message of a market on its stream; gives the numbers of both.
    fn see(
        &mut self,
        at: &Envelope,
        ticker: &str,
        channel: &str,
        seen: Seen,
    ) -> Option<(u32, u32)> {
        let market = self.market(ticker);
        let stream = self.conns.get_mut(&at.conn)?.stream(at.sid, self.registry)?;
        stream.channel.get_or_insert_with(|| channel.to_owned());
        stream.see(market, at.now.at, seen);
        Some((market, stream.number))
    }

    fn market_lifecycle(&mut self, at: &Envelope, step: &MarketLifecycle<'_>) -> Outcome {
        let registry = self.registry;
        let Some(stream) = self.conns.get_mut(&at.conn).and_then(|c| c.stream(at.sid, registry))
        else {
            return Outcome::Unreadable;
        };
        let seconds = |value: Option<i64>| value.and_then(|s| s.checked_mul(1_000_000_000));
        let table = &mut self.rows.Lifecycle;
        table.at_ns.push(at.now.at);
        table.recv.push(at.now.recv);
        table.stream.push(stream.number);
        table.seq.push((at.now.seq != 0).then_some(at.now.seq));
        table.event_type.push(Some(&step.event_type));
        table.ticker.push(Some(&step.market_ticker));
        table.event_ticker.push(None);
        table.open_time.push(seconds(step.open_ts));
        table.close_time.push(seconds(step.close_ts));
        table.determination_time.push(seconds(step.determination_ts));
        table.settled_time.push(seconds(step.settled_ts));
        table.is_deactivated.push(step.is_deactivated);
        table.result.push(step.result.as_deref());
        table.settlement_value.push(step.settlement_value.as_deref());
        table.price_level_structure.push(step.price_level_structure.as_deref());
        table.title.push(None);
        table.metadata.push(step.additional_metadata.map(|json| json.get()));
        table.end_row();
        Outcome::Lifecycle
    }

    fn event_lifecycle(
        &mut self,
        at: &Envelope,
        step: &EventLifecycle<'_>,
        header: &Header<'_>,
    ) -> Outcome {
        let registry = self.registry;
        let Some(stream) = self.conns.get_mut(&at.conn).and_then(|c| c.stream(at.sid, registry))
        else {
            return Outcome::Unreadable;
        };
        let table = &mut self.rows.Lifecycle;
        table.at_ns.push(at.now.at);
        table.recv.push(at.now.recv);
        table.stream.push(stream.number);
        table.seq.push((at.now.seq != 0).then_some(at.now.seq));
        table.event_type.push(Some(header.kind()));
        table.ticker.push(None);
        table.event_ticker.push(Some(&step.event_ticker));
        for time in [
            &mut table.open_time,
            &mut table.close_time,
            &mut table.determination_time,
            &mut table.settled_time,
        ] {
            time.push(None);
        }
        table.is_deactivated.push(None);
        table.result.push(None);
        table.settlement_value.push(None);
        table.price_level_structure.push(None);
        table.title.push(step.title.as_deref());
        table.metadata.push(header.msg.map(|json| json.get()));
        table.end_row();
        Outcome::Lifecycle
    }

    fn event(&mut self, recv: Option<i64>, conn: Option<u32>, event: Event<'_>) {
        if let Some(recv) = recv {
            self.seen_at(recv);
        }
        let at = recv.or(self.facts.last_ns).unwrap_or_default();
        let number = conn.unwrap_or(self.current);
        match event {
            Event::Session(info) => {
                self.facts.own = true;
                self.facts.version.get_or_insert_with(|| info.version.to_string());
                self.facts.env.get_or_insert_with(|| info.env.to_string());
                self.facts.host.get_or_insert_with(|| info.host.to_string());
                self.facts.closed = false;
            }
            Event::Connected { .. } => {
                let conn = self
                    .conns
                    .entry(number)
                    .or_insert_with(|| Connection::new(Sequences::from_start()));
                let at = conn.advance(recv, None);
                self.settle(number, at);
            }
            Event::Sent { command } => {
                let conn = self
                    .conns
                    .entry(number)
                    .or_insert_with(|| Connection::new(Sequences::joined_late()));
                conn.sent(command.get());
            }
            Event::Gap { sid, expected, got } => {
                self.gap(number, (sid, expected, got), at, Witness::Recorder);
            }
            Event::Disconnected { cause } => self.disconnected(number, at, &cause),
            Event::Market { market } => {
                let ticker = ticker_of(market.get());
                let table = &mut self.rows.Metadata;
                table.at_ns.push(at);
                table.ticker.push(ticker.as_deref());
                table.json.push(Some(market.get()));
                table.end_row();
            }
            Event::UnknownMarket { ticker } => self.note("unknown market", || ticker.to_string()),
            Event::BadFrame { reason, .. } => self.note("bad frame", || reason.to_string()),
            Event::Stalled { for_ns } => self.note("stalled", || format!("for {for_ns} ns")),
            Event::Clock { step_ns } => self.note("clock step", || format!("by {step_ns} ns")),
            Event::Closed(_) => self.facts.closed = true,
            Event::Unknown => self.note("unknown event", String::new),
            // A repeat shows in the frames; a repair in the snapshots.
            Event::Repeat { .. } | Event::Repaired { .. } => {}
        }
    }

    fn disconnected(&mut self, number: u32, at: i64, cause: &str) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let mut markets = Vec::new();
        for stream in &mut conn.streams {
            markets.extend(stream.close_all(at, End::Disconnected, &mut self.rows));
        }
        markets.sort_unstable();
        markets.dedup();
        conn.over = Some(("disconnected", at));
        self.holes.add(Hole {
            kind: Kind::Disconnected,
            conn: number,
            sid: None,
            channel: None,
            expected: None,
            got: None,
            from_ns: at,
            found_ns: at,
            declared: true,
            found: false,
            cause: Some(cause.to_owned()),
            markets,
        });
    }

    fn note(&mut self, kind: &str, reason: impl FnOnce() -> String) {
        self.report.note(kind, self.line, reason);
    }
}

type Parsed<'a> = (Header<'a>, Result<Message<'a>, ParseError>);

fn parse(text: &str) -> Result<Parsed<'_>, NotJson> {
    if let Some((header, message)) = quick::delta(text) {
        return Ok((header, Ok(message)));
    }
    let header = Header::parse(text)?;
    let message = Message::parse(&header);
    Ok((header, message))
}

/// Who tells of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witness {
    Frames,
    Recorder,
}

fn push_book_event(
    rows: &mut Rows,
    at: &Envelope,
    market: u32,
    stream: u32,
    kind: u8,
    level: Option<(Side, crate::protocol::Price, Size)>,
) {
    let table = &mut rows.BookEvents;
    table.at_ns.push(at.now.at);
    table.recv.push(at.now.recv);
    table.event.push(at.now.event);
    table.market.push(market);
    table.stream.push(stream);
    table.seq.push(Some(at.now.seq));
    table.kind.push(kind);
    table.side.push_side(level.map(|level| level.0));
    table.price.push(level.map(|level| level.1));
    table.size.push(level.map(|level| level.2));
    table.end_row();
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

fn fits(size: Size) -> bool {
    size.units().unsigned_abs() < SIZE_UNITS_END
}

fn ticker_of(market: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        ticker: Option<String>,
    }
    serde_json::from_str::<Named>(market).ok()?.ticker
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
