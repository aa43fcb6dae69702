//! Every decision of one connection, without a socket, a clock or a task.
//!
//! Time and frames are arguments, actions are results: whole days of trouble can be simulated in a
//! millisecond. The rules are those of the exchange:
//!
//! - one counter a subscription, over all its markets and replies;
//! - a gap makes every market of that subscription suspect, so each is asked for again;
//! - a book is known from its snapshot on, so a market without one is asked for again;
//! - errors 10 and 25 kill a subscription, so it is made again, more slowly;
//! - a refused command is tried in halves, so that one market cannot cost the others theirs.

mod refusal;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    books::{Books, Overdue},
    config::Limits,
    feed::Feed,
    lag::{Lag, Turn},
};
use crate::protocol::{
    Action as Update, Channel, Command, Header, Message, Sequences, Step, Ticker,
};
use crate::tape::Event;

/// The time between two rounds of commands; each brings up to a hundred snapshots a channel, and a
/// burst of them can overflow the exchange's buffer for this connection.
const PACE: Duration = Duration::from_millis(50);
/// So many numbers in a row that had come before are no repetition: the count runs backwards.
const REPEATS_MAX: u32 = 1_000;
/// How often the exchange is asked what is subscribed: one that died in silence looks like a quiet
/// market.
const AUDIT: Duration = Duration::from_secs(300);

/// What one connection is for.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) markets: Vec<Ticker>,
    pub(super) channels: Vec<Channel>,
}

impl Plan {
    pub(super) const fn is_empty(&self) -> bool {
        self.markets.is_empty() && self.channels.is_empty()
    }

    /// Takes on what another was for.
    pub(super) fn extend(&mut self, more: Self) {
        self.markets.extend(more.markets);
        self.channels.extend(more.channels);
    }
}

/// What the worker is to do, in this order.
#[derive(Debug)]
pub(super) enum Action {
    /// Send a command, and write it down.
    Send { id: u64, command: Command },
    /// Write an event.
    Record(Event<'static>),
    /// Give the connection up and make another.
    Reconnect(String),
    /// Stop everything: it will not get better.
    Refused(String),
    /// Send a ping.
    Ping,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Session {
    limits: Limits,
    sequences: Sequences,
    repeats_in_a_row: u32,
    feeds: Vec<Feed>,
    channels: HashMap<u64, Channel>,
    books: Books,
    next_id: u64,
    /// Whether to ask what is subscribed, after a command that may or may not have worked.
    unsure: bool,
    last_audit: Instant,
    pace: Duration,
    next_command: Instant,
    last_frame: Instant,
    last_ping: Instant,
    lag: Lag,
}

impl Session {
    /// The state of a connection that was made at `now`.
    pub(super) fn new(plan: &Plan, limits: Limits, now: Instant) -> Self {
        let markets: Vec<String> = plan.markets.iter().map(ToString::to_string).collect();
        Self {
            limits,
            sequences: Sequences::from_start(),
            repeats_in_a_row: 0,
            feeds: plan.channels.iter().map(|c| Feed::new(c.clone(), &markets)).collect(),
            channels: HashMap::new(),
            books: Books::new(now),
            next_id: 1,
            unsure: false,
            last_audit: now,
            pace: PACE,
            next_command: now,
            last_frame: now,
            last_ping: now,
            lag: Lag::new(limits.lag, now),
        }
    }

    /// The connection is for this, too.
    pub(super) fn adopt(&mut self, more: &Plan) {
        let markets: Vec<String> = more.markets.iter().map(ToString::to_string).collect();
        self.feeds.iter_mut().for_each(|feed| feed.adopt(&markets));
        self.feeds.extend(more.channels.iter().map(|c| Feed::new(c.clone(), &[])));
    }

    /// A frame of any kind came in, data or control.
    pub(super) fn alive(&mut self, now: Instant) {
        self.last_frame = now;
    }

    /// Markets that had a snapshot on this connection.
    pub(super) const fn books_seen(&self) -> &BTreeSet<String> {
        self.books.seen()
    }

    /// A message came in, perhaps some time before it is looked at; its header was read.
    pub(super) fn frame(
        &mut self,
        header: &Header<'_>,
        arrived: Instant,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.last_frame = now;
        if let Some(turn) =
            header.sending_ts_ms.and_then(|ms| self.lag.frame(header.sid, ms, arrived))
        {
            actions.push(Action::Record(match turn {
                Turn::Behind(behind_ms) => Event::Lagging { behind_ms },
                Turn::CaughtUp(behind_ms) => Event::CaughtUp { behind_ms },
            }));
        }
        if let (Some(sid), Some(seq)) = (header.sid, header.seq) {
            self.number(header, (sid, seq), now, actions);
        }
        match header.kind() {
            "orderbook_snapshot" => self.snapshot(header, now, actions),
            "subscribed" => self.subscribed(header),
            "ok" => self.ok(header, actions),
            "error" => self.error(header, now, actions),
            // Most frames by far; nothing waits for them.
            _ => return,
        }
        self.advance(now, actions);
    }

    fn number(
        &mut self,
        header: &Header<'_>,
        (sid, seq): (u64, u64),
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let step = self.sequences.check(sid, seq);
        let Step::Repeat { expected } = step else {
            self.repeats_in_a_row = 0;
            if let Step::Gap { expected } = step {
                actions.push(Action::Record(Event::Gap { sid, expected, got: seq }));
                self.suspect_all(sid, header.kind(), now);
            }
            return;
        };
        actions.push(Action::Record(Event::Repeat { sid, expected, got: seq }));
        self.repeats_in_a_row += 1;
        if header.kind() == "orderbook_snapshot" {
            // The subscription may count anew; a book that is whole may start it.
            self.sequences.restart(sid, seq);
        } else if self.repeats_in_a_row >= REPEATS_MAX {
            actions.push(Action::Reconnect("sequence numbers run backwards".to_owned()));
        } else {
            self.suspect_all(sid, header.kind(), now);
        }
    }

    /// Time passed; also to be called once at the start.
    pub(super) fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let silent = now.saturating_duration_since(self.last_frame);
        if silent >= self.limits.silence {
            let seconds = silent.as_secs_f64();
            actions.push(Action::Reconnect(format!("no frame of any kind for {seconds:.1} s")));
            return;
        }
        if silent >= self.limits.ping
            && now.saturating_duration_since(self.last_ping) >= self.limits.ping
        {
            self.last_ping = now;
            actions.push(Action::Ping);
        }
        for feed in &mut self.feeds {
            self.unsure |= feed.send_overdue_again(now, self.limits.snapshot);
        }
        self.unsure |= now.saturating_duration_since(self.last_audit) >= AUDIT;
        match self.books.overdue(now, self.limits.snapshot) {
            Overdue::Nothing => {}
            Overdue::Dead => {
                let limit = self.limits.snapshot.as_secs_f64();
                actions.push(Action::Reconnect(format!("no snapshot came in {limit:.1} s")));
                return;
            }
            // One dark market must not cost the others their connection.
            Overdue::Dark { markets, first } => {
                let first = Cow::Owned(first);
                actions.push(Action::Record(Event::Dark { markets, first }));
            }
        }
        self.advance(now, actions);
    }

    fn subscribed(&mut self, header: &Header<'_>) {
        if let Ok(Message::Subscribed(reply)) = Message::parse(header) {
            let channel = Channel::parse(&reply.channel);
            self.channels.retain(|_, open| *open != channel);
            self.channels.insert(reply.sid, channel);
            self.sequences.restart(reply.sid, 0);
        }
        self.accepted(header);
    }

    /// A command worked. The answer to `list_subscriptions` also says which subscriptions live.
    fn ok(&mut self, header: &Header<'_>, actions: &mut Vec<Action>) {
        #[derive(Deserialize)]
        struct Subscription<'a> {
            #[serde(borrow)]
            channel: Cow<'a, str>,
            sid: u64,
        }
        self.accepted(header);
        let list = header.msg.map(serde_json::from_str::<Vec<Subscription<'_>>>);
        let Some(Ok(list)) = list else { return };
        let listed: HashMap<u64, Channel> =
            list.iter().map(|s| (s.sid, Channel::parse(&s.channel))).collect();
        for (sid, _) in self.channels.extract_if(|sid, _| !listed.contains_key(sid)) {
            actions.push(Action::Record(Event::Ended { sid }));
        }
        self.channels = listed;
        let dead = |feed: &&Feed| {
            feed.is_settled() && !self.channels.values().any(|lives| lives == feed.channel())
        };
        let dead: Vec<Channel> =
            self.feeds.iter().filter(dead).map(|feed| feed.channel().clone()).collect();
        dead.iter().for_each(|channel| self.restart(channel));
    }

    fn accepted(&mut self, header: &Header<'_>) {
        let Some(id) = header.id else { return };
        if self.feeds.iter_mut().any(|feed| feed.answered(id).is_some()) {
            self.pace = (self.pace / 2).max(PACE);
        }
    }

    /// Everything that a channel was for is asked for again.
    fn restart(&mut self, channel: &Channel) {
        if *channel == Channel::OrderbookDelta {
            self.books.forget();
        }
        for feed in self.feeds.iter_mut().filter(|feed| feed.channel() == channel) {
            feed.restart();
        }
    }

    fn snapshot(&mut self, header: &Header<'_>, now: Instant, actions: &mut Vec<Action>) {
        #[derive(Deserialize)]
        struct Market<'a> {
            #[serde(borrow)]
            market_ticker: Cow<'a, str>,
            #[serde(borrow)]
            market_id: Option<Cow<'a, str>>,
        }
        let market = header.msg.map(serde_json::from_str::<Market<'_>>);
        let Some(Ok(market)) = market else { return };
        if market.market_id.is_some_and(|id| id.is_empty()) {
            let ticker = Cow::Owned(market.market_ticker.clone().into_owned());
            actions.push(Action::Record(Event::UnknownMarket { ticker }));
        }
        if let Some((sid, markets)) = self.books.snapshot(&market.market_ticker, now) {
            actions.push(Action::Record(Event::Repaired { sid, markets }));
        }
    }

    /// After a gap: which markets' books can no longer be trusted.
    fn suspect_all(&mut self, sid: u64, kind: &str, now: Instant) {
        let books = match self.channels.get(&sid) {
            Some(channel) => *channel == Channel::OrderbookDelta,
            None => matches!(kind, "orderbook_delta" | "orderbook_snapshot"),
        };
        if !books {
            return;
        }
        self.channels.insert(sid, Channel::OrderbookDelta);
        let feeds = self.feeds.iter().filter(|feed| feed.is_books());
        self.books.suspect(sid, feeds.flat_map(Feed::subscribed).cloned().collect(), now);
    }

    /// Sends what is due: snapshots after a gap first, then the next markets of each channel.
    fn advance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if now < self.next_command {
            return;
        }
        let before = self.next_id;
        if std::mem::take(&mut self.unsure) {
            self.last_audit = now;
            self.send(Command::ListSubscriptions, actions);
        }
        let suspects = match self.book_sid() {
            Some(sid) => {
                let markets = self.books.next_suspects(Feed::MARKETS_PER_COMMAND, now);
                (!markets.is_empty()).then_some((sid, markets))
            }
            None => None,
        };
        if let Some((sid, markets)) = suspects {
            self.send(Command::Update { sid, action: Update::GetSnapshot(markets) }, actions);
        } else {
            let coming = self.books.are_coming(now);
            for feed in self.feeds.iter_mut().filter(|feed| !(feed.is_books() && coming)) {
                let Some((markets, command)) = feed.ask(self.next_id, now) else { continue };
                actions.push(Action::Send { id: self.next_id, command });
                self.next_id += 1;
                if feed.is_books() {
                    self.books.subscribed(markets, now);
                }
            }
        }
        if self.next_id > before {
            self.next_command = now + self.pace;
        }
    }

    fn send(&mut self, command: Command, actions: &mut Vec<Action>) {
        actions.push(Action::Send { id: self.next_id, command });
        self.next_id += 1;
    }

    fn book_sid(&self) -> Option<u64> {
        let books = |(sid, channel): (&u64, &Channel)| {
            (*channel == Channel::OrderbookDelta).then_some(*sid)
        };
        self.channels.iter().find_map(books)
    }
}
