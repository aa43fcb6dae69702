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
    Action as Update, Channel, Command, ExchangeError, Header, Message, Remedy, Sequences, Step,
    Ticker,
};
use crate::tape::Event;

/// The time between two rounds of commands; each brings up to a hundred snapshots a channel, and a
/// burst of them can overflow the exchange's buffer for this connection.
const PACE: Duration = Duration::from_millis(50);
/// The slowest that refusals make us.
const PACE_MAX: Duration = Duration::from_secs(5);
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

    fn error(&mut self, header: &Header<'_>, now: Instant, actions: &mut Vec<Action>) {
        let Ok(Message::Error(error)) = Message::parse(header) else { return };
        let text = format!("error {} of the exchange: {}", error.code.0, error.text);
        tracing::warn!(error = text, "the exchange refused a command or ended a subscription");
        match error.code.remedy() {
            Remedy::GiveUp => actions.push(Action::Refused(text)),
            Remedy::GiveUpChannel => {
                let id = header.id;
                self.feeds.retain_mut(|f| id.and_then(|id| f.answered(id)).is_none());
            }
            Remedy::Resubscribe => {
                if let Some(id) = header.id {
                    for feed in &mut self.feeds {
                        let Some(markets) = feed.answered(id) else { continue };
                        if feed.is_books() {
                            self.books.refused(&markets);
                        }
                        feed.again(markets);
                    }
                }
                self.resubscribe(header.sid, now);
            }
            Remedy::SlowDown => {
                self.slow_down(now);
                self.unsure = true;
                self.try_in_halves(header, &error, actions);
            }
            Remedy::TooMany | Remedy::Record => self.try_in_halves(header, &error, actions),
        }
    }

    /// A subscription is dead: everything it was for is asked for again under a new one.
    fn resubscribe(&mut self, sid: Option<u64>, now: Instant) {
        self.slow_down(now);
        match sid.and_then(|sid| self.channels.remove(&sid)) {
            Some(channel) => self.restart(&channel),
            None => self.unsure = true,
        }
    }

    /// A subscription of many markets was refused: perhaps for one of them, perhaps for their
    /// number. Halves of it will tell.
    fn try_in_halves(
        &mut self,
        header: &Header<'_>,
        error: &ExchangeError<'_>,
        actions: &mut Vec<Action>,
    ) {
        let Some(id) = header.id else { return };
        for feed in &mut self.feeds {
            let Some(markets) = feed.answered(id) else { continue };
            if feed.is_books() {
                self.books.refused(&markets);
            }
            let channel = Cow::Owned(feed.channel().as_str().to_owned());
            if let Some(market) = feed.halve(markets, error.code.remedy()) {
                let reason = Cow::Owned(format!("error {}: {}", error.code.0, error.text));
                let ticker = Cow::Owned(market);
                let refused = Event::RefusedMarket { ticker, channel, reason };
                actions.push(Action::Record(refused));
            }
        }
    }

    fn slow_down(&mut self, now: Instant) {
        self.pace = (self.pace * 2).min(PACE_MAX);
        self.next_command = now + self.pace;
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        session: Session,
        now: Instant,
    }

    impl Scene {
        fn of(markets: usize) -> Self {
            let now = Instant::now();
            let markets = (0..markets).map(|n| format!("KX-{n}").parse().unwrap()).collect();
            let channels = vec![
                Channel::OrderbookDelta,
                Channel::Ticker,
                Channel::Trade,
                Channel::MarketLifecycle,
            ];
            let plan = Plan { markets, channels };
            Self { session: Session::new(&plan, Limits::default(), now), now }
        }

        /// Connected, with every command answered.
        fn subscribed(markets: usize) -> Self {
            let mut scene = Self::of(markets);
            scene.connected();
            scene.acknowledge();
            scene
        }

        fn connected(&mut self) -> Vec<Action> {
            let mut actions = Vec::new();
            self.session.tick(self.now, &mut actions);
            actions
        }

        fn frame(&mut self, text: &str) -> Vec<Action> {
            let mut actions = Vec::new();
            self.session.frame(&Header::parse(text).unwrap(), self.now, self.now, &mut actions);
            actions
        }

        fn snapshot(&mut self, seq: u64, market: usize) -> Vec<Action> {
            self.frame(&format!(
                r#"{{"type":"orderbook_snapshot","sid":2,"seq":{seq},"msg":{{"market_ticker":"KX-{market}","market_id":"x"}}}}"#
            ))
        }

        fn delta(&mut self, seq: u64) -> Vec<Action> {
            self.frame(&format!(
                r#"{{"type":"orderbook_delta","sid":2,"seq":{seq},"msg":{{"market_ticker":"KX-0"}}}}"#
            ))
        }

        fn pass(&mut self, time: Duration) -> Vec<Action> {
            self.now += time;
            let mut actions = Vec::new();
            self.session.tick(self.now, &mut actions);
            actions
        }

        fn acknowledge(&mut self) {
            let sids =
                [("orderbook_delta", 2), ("ticker", 1), ("trade", 3), ("market_lifecycle_v2", 4)];
            for (id, (channel, sid)) in (1..).zip(sids) {
                self.frame(&format!(
                    r#"{{"type":"subscribed","id":{id},"msg":{{"channel":"{channel}","sid":{sid}}}}}"#
                ));
            }
        }
    }

    fn commands(actions: &[Action]) -> Vec<serde_json::Value> {
        let json = |action: &Action| {
            let Action::Send { id, command } = action else { return None };
            serde_json::from_str(&command.to_json(*id)).ok()
        };
        actions.iter().filter_map(json).collect()
    }

    fn brief(actions: &[Action]) -> Vec<String> {
        actions.iter().map(|action| format!("{action:?}").chars().take(60).collect()).collect()
    }

    #[test]
    fn the_four_channels_are_subscribed_and_the_price_flag_is_always_sent() {
        let sent = commands(&Scene::of(2).connected());
        let params: Vec<_> = sent.iter().map(|command| &command["params"]).collect();
        assert_eq!(params[0]["channels"], serde_json::json!(["orderbook_delta"]));
        assert_eq!(params[0]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
        assert_eq!(params[0]["use_yes_price"], serde_json::json!(false));
        assert_eq!(params[1]["channels"], serde_json::json!(["ticker"]));
        assert_eq!(params[2]["channels"], serde_json::json!(["trade"]));
        assert_eq!(params[3], &serde_json::json!({"channels": ["market_lifecycle_v2"]}));
        assert_eq!(
            sent.iter().map(|c| c["id"].as_u64().unwrap()).collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn the_next_books_are_asked_for_when_the_first_have_their_snapshots() {
        let books = |actions: &[Action]| -> Vec<serde_json::Value> {
            let mut sent = commands(actions);
            sent.retain(|c| c["params"]["channels"][0] == "orderbook_delta");
            sent
        };
        let mut scene = Scene::of(250);
        assert_eq!(books(&scene.connected()).len(), 1);
        scene.acknowledge();
        for market in 0..99 {
            assert!(scene.snapshot(market as u64 + 1, market).is_empty());
        }
        assert!(books(&scene.pass(Duration::from_secs(1))).is_empty());
        scene.snapshot(100, 99);
        let sent = books(&scene.pass(Duration::from_secs(1)));
        let next = sent[0]["params"]["market_tickers"].as_array().unwrap();
        assert_eq!((next.len(), next[0].as_str()), (100, Some("KX-100")));
    }

    #[test]
    fn a_gap_is_recorded_and_every_market_is_asked_for_again() {
        let mut scene = Scene::subscribed(2);
        scene.snapshot(1, 0);
        scene.snapshot(2, 1);
        scene.pass(Duration::from_secs(1));
        let actions = scene.delta(5);
        assert_eq!(brief(&actions), ["Record(Gap { sid: 2, expected: 3, got: 5 })"]);
        let sent = commands(&scene.pass(Duration::from_secs(1)));
        assert_eq!(sent[0]["params"]["action"], "get_snapshot");
        assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
        assert!(scene.snapshot(6, 1).is_empty());
        assert_eq!(brief(&scene.snapshot(7, 0)), ["Record(Repaired { sid: 2, markets: 2 })"]);
    }

    #[test]
    fn a_gap_in_trades_is_recorded_and_leaves_the_books_alone() {
        let mut scene = Scene::subscribed(1);
        scene.snapshot(1, 0);
        let actions = scene.frame(r#"{"type":"trade","sid":3,"seq":4,"msg":{}}"#);
        assert_eq!(brief(&actions), ["Record(Gap { sid: 3, expected: 1, got: 4 })"]);
        assert!(scene.pass(Duration::from_secs(1)).is_empty());
    }

    #[test]
    fn replies_count_in_the_sequence_and_repeats_are_recorded() {
        let mut scene = Scene::subscribed(1);
        scene.snapshot(1, 0);
        assert!(scene.frame(r#"{"type":"ok","id":5,"sid":2,"seq":2,"msg":{}}"#).is_empty());
        assert!(scene.delta(3).is_empty());
        assert_eq!(brief(&scene.delta(3)), ["Record(Repeat { sid: 2, expected: 4, got: 3 })"]);
    }

    #[test]
    fn silence_is_pinged_and_then_given_up() {
        let mut scene = Scene::subscribed(1);
        scene.snapshot(1, 0);
        assert_eq!(brief(&scene.pass(Duration::from_secs(10))), ["Ping"]);
        assert!(scene.pass(Duration::from_secs(5)).is_empty());
        assert_eq!(
            brief(&scene.pass(Duration::from_secs(15))),
            ["Reconnect(\"no frame of any kind for 30.0 s\")"]
        );
    }

    #[test]
    fn one_dark_market_is_asked_for_again_and_all_dark_is_a_dead_connection() {
        let mut scene = Scene::subscribed(2);
        scene.snapshot(1, 0);
        for _ in 0..3 {
            scene.pass(Duration::from_secs(15));
            scene.session.alive(scene.now);
            let sent = commands(&scene.pass(Duration::from_secs(15)));
            assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["KX-1"]));
            scene.session.alive(scene.now);
        }

        let mut scene = Scene::subscribed(2);
        scene.pass(Duration::from_secs(15));
        scene.session.alive(scene.now);
        let actions = scene.pass(Duration::from_secs(15));
        let last = brief(&actions).pop().unwrap();
        assert!(last.starts_with("Reconnect(\"no snapshot came"), "{last}");
    }

    #[test]
    fn an_unknown_market_is_named() {
        let mut scene = Scene::subscribed(1);
        let actions = scene.frame(
            r#"{"type":"orderbook_snapshot","sid":2,"seq":1,"msg":{"market_ticker":"KX-0","market_id":""}}"#,
        );
        assert_eq!(brief(&actions), ["Record(UnknownMarket { ticker: \"KX-0\" })"]);
    }

    #[test]
    fn a_dead_subscription_is_made_again_and_not_at_once() {
        for code in [10, 25] {
            let mut scene = Scene::subscribed(2);
            scene.snapshot(1, 0);
            scene.snapshot(2, 1);
            scene.pass(Duration::from_secs(1));
            let error =
                format!(r#"{{"type":"error","sid":2,"seq":3,"msg":{{"code":{code},"msg":"m"}}}}"#);
            assert!(scene.frame(&error).is_empty());
            let sent = commands(&scene.pass(Duration::from_millis(100)));
            assert_eq!(sent.len(), 1);
            assert_eq!(sent[0]["params"]["channels"], serde_json::json!(["orderbook_delta"]));
            assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
        }
    }

    #[test]
    fn a_subscription_that_could_not_be_made_is_asked_for_again_soon() {
        for code in [7, 10, 17, 25] {
            let mut scene = Scene::of(2);
            scene.connected();
            let error = format!(r#"{{"type":"error","id":1,"msg":{{"code":{code},"msg":"m"}}}}"#);
            assert!(scene.frame(&error).is_empty());
            let sent = commands(&scene.pass(Duration::from_millis(100)));
            let names: Vec<_> = sent.iter().map(|c| c["cmd"].as_str().unwrap()).collect();
            assert_eq!(names, ["list_subscriptions", "subscribe"]);
            assert_eq!(sent[1]["params"]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
        }
    }

    #[test]
    fn a_refused_command_is_tried_in_halves_until_the_bad_market_is_alone() {
        let mut scene = Scene::of(8);
        let mut open = commands(&scene.connected());
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..50 {
            for command in std::mem::take(&mut open) {
                if command["params"]["channels"][0] != "orderbook_delta" {
                    continue;
                }
                let markets: Vec<String> =
                    serde_json::from_value(command["params"]["market_tickers"].clone()).unwrap();
                let id = &command["id"];
                let actions = if markets.contains(&"KX-5".to_owned()) {
                    scene.frame(&format!(
                        r#"{{"type":"error","id":{id},"msg":{{"code":11,"msg":"Invalid parameter"}}}}"#
                    ))
                } else {
                    accepted.extend(markets.iter().cloned());
                    for market in &markets {
                        scene.session.books.snapshot(market, scene.now);
                    }
                    scene.frame(&format!(r#"{{"type":"ok","id":{id}}}"#))
                };
                refused.extend(brief(&actions).into_iter().filter(|a| a.starts_with("Record")));
                open.extend(commands(&actions));
            }
            open.extend(commands(&scene.pass(Duration::from_secs(1))));
            scene.session.alive(scene.now);
        }
        accepted.sort();
        assert_eq!(accepted, ["KX-0", "KX-1", "KX-2", "KX-3", "KX-4", "KX-6", "KX-7"]);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].starts_with("Record(RefusedMarket { ticker: \"KX-5\""), "{refused:?}");
    }

    #[test]
    fn a_channel_that_does_not_exist_is_not_asked_for_again() {
        let mut scene = Scene::of(250);
        let id = commands(&scene.connected())[1]["id"].clone();
        let error = format!(r#"{{"type":"error","id":{id},"msg":{{"code":8,"msg":"m"}}}}"#);
        assert!(scene.frame(&error).is_empty());
        let sent = commands(&scene.pass(Duration::from_secs(1)));
        assert!(sent.iter().all(|c| c["params"]["channels"][0] != "ticker"), "{sent:?}");
    }

    #[test]
    fn too_many_requests_slow_us_down_and_make_us_ask_what_is_subscribed() {
        let mut scene = Scene::of(2);
        scene.connected();
        for code in [18, 27] {
            let error = format!(r#"{{"type":"error","id":1,"msg":{{"code":{code},"msg":"m"}}}}"#);
            assert!(scene.frame(&error).is_empty());
            let sent = commands(&scene.pass(Duration::from_secs(6)));
            assert_eq!(sent[0]["cmd"], "list_subscriptions");
            scene.session.alive(scene.now);
        }
        assert!(scene.session.pace >= PACE * 4);
    }

    #[test]
    fn one_dark_market_does_not_hold_back_the_others() {
        let mut scene = Scene::of(250);
        let mut sent = commands(&scene.connected());
        scene.acknowledge();
        let mut seq = 0;
        let mut asked = BTreeSet::new();
        for _ in 0..40 {
            for command in std::mem::take(&mut sent) {
                let markets = command["params"]["market_tickers"].clone();
                let markets: Vec<String> = serde_json::from_value(markets).unwrap_or_default();
                scene.frame(&format!(r#"{{"type":"ok","id":{}}}"#, command["id"]));
                if command["params"]["channels"][0] != "orderbook_delta" {
                    continue;
                }
                for market in markets {
                    asked.insert(market.clone());
                    if market != "KX-7" {
                        seq += 1;
                        let number: usize = market.strip_prefix("KX-").unwrap().parse().unwrap();
                        sent.extend(commands(&scene.snapshot(seq, number)));
                    }
                }
            }
            sent.extend(commands(&scene.pass(Duration::from_millis(500))));
            scene.session.alive(scene.now);
        }
        assert_eq!(asked.len(), 250);
    }

    #[test]
    fn a_dead_book_channel_is_given_up_though_other_frames_come() {
        let mut scene = Scene::subscribed(2);
        scene.snapshot(1, 0);
        scene.snapshot(2, 1);
        scene.frame(r#"{"type":"error","sid":2,"seq":3,"msg":{"code":25,"msg":"m"}}"#);
        let mut last = Vec::new();
        for _ in 0..40 {
            scene.session.alive(scene.now);
            last = brief(&scene.pass(Duration::from_secs(1)));
            if last.iter().any(|action| action.starts_with("Reconnect")) {
                return;
            }
        }
        panic!("still there: {last:?}");
    }

    #[test]
    fn a_market_limit_is_found_and_the_rest_is_declared() {
        let mut scene = Scene::of(4);
        let mut sent = commands(&scene.connected());
        let (mut held, mut refused, mut count) = (BTreeSet::new(), 0, 0);
        for _ in 0..100 {
            for command in std::mem::take(&mut sent) {
                count += 1;
                let id = &command["id"];
                let markets = command["params"]["market_tickers"].clone();
                let markets: Vec<String> = serde_json::from_value(markets).unwrap_or_default();
                let books = command["params"]["channels"][0] == "orderbook_delta";
                let actions = if books && held.len() + markets.len() > 3 {
                    scene.frame(&format!(
                        r#"{{"type":"error","id":{id},"msg":{{"code":26,"msg":"m"}}}}"#
                    ))
                } else {
                    if books {
                        held.extend(markets.iter().cloned());
                        for market in &markets {
                            scene.session.books.snapshot(market, scene.now);
                        }
                    }
                    scene.frame(&format!(r#"{{"type":"ok","id":{id}}}"#))
                };
                refused += brief(&actions).iter().filter(|a| a.contains("RefusedMarket")).count();
                sent.extend(commands(&actions));
            }
            sent.extend(commands(&scene.pass(Duration::from_secs(1))));
            scene.session.alive(scene.now);
        }
        assert_eq!((held.len(), refused), (3, 1));
        assert!(count < 30, "{count} commands");
    }

    #[test]
    fn a_subscription_that_the_exchange_does_not_list_is_made_again() {
        let mut scene = Scene::of(1);
        let sent = commands(&scene.connected());
        for command in &sent {
            scene.frame(&format!(r#"{{"type":"ok","id":{}}}"#, command["id"]));
        }
        scene.snapshot(1, 0);
        let list = r#"{"type":"ok","id":9,"msg":[{"channel":"orderbook_delta","sid":1},
            {"channel":"trade","sid":3},{"channel":"market_lifecycle_v2","sid":4}]}"#;
        scene.frame(list);
        let sent = commands(&scene.pass(Duration::from_secs(1)));
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0]["params"]["channels"], serde_json::json!(["ticker"]));
    }

    #[test]
    fn no_access_is_final_and_unknown_errors_are_survived() {
        let error =
            |code| format!(r#"{{"type":"error","id":99,"msg":{{"code":{code},"msg":"m"}}}}"#);
        let mut scene = Scene::of(1);
        scene.connected();
        assert!(scene.frame(&error(8)).is_empty());
        assert!(scene.frame(&error(999)).is_empty());
        assert!(scene.frame(r#"{"type":"error","msg":"not an object"}"#).is_empty());
        assert!(brief(&scene.frame(&error(9)))[0].starts_with("Refused"));
    }
}
