//! Every decision of one connection, without a socket, a clock or a task.
//!
//! Time and frames are arguments, actions are results: whole days of trouble can be simulated in a
//! millisecond. The rules are those of the exchange:
//!
//! - one counter a subscription, over all its markets and replies;
//! - a gap makes every market of that subscription suspect, so each is asked for again;
//! - a book is known from its snapshot on, so a market without one is asked for again.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::config::Limits;
use crate::protocol::{
    Action as Update, Channel, Command, Header, Message, Remedy, Sequences, Step, Subscribe, Ticker,
};
use crate::tape::Event;

/// Markets named in one command. Each is answered by a snapshot, and a burst of them can overflow
/// the exchange's buffer for this connection.
const MARKETS_PER_COMMAND: usize = 100;
/// The shortest time between two commands that bring snapshots.
const PACE: Duration = Duration::from_millis(50);

/// What one connection is for.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) markets: Vec<Ticker>,
    pub(super) channels: Vec<Channel>,
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
    plan: Plan,
    limits: Limits,
    sequences: Sequences,
    channels: HashMap<u64, Channel>,
    next_id: u64,
    /// How many of the plan's markets have been subscribed to.
    subscribed: usize,
    /// Markets without a snapshot since they were asked for.
    awaited: BTreeSet<String>,
    awaited_since: Instant,
    any_snapshot: bool,
    /// Markets to ask a snapshot for, after a gap.
    suspect: Vec<String>,
    repairing: Option<Repair>,
    next_command: Instant,
    last_frame: Instant,
    last_ping: Instant,
}

#[derive(Debug)]
struct Repair {
    sid: u64,
    waiting: BTreeSet<String>,
    markets: usize,
    since: Instant,
}

impl Session {
    /// The state of a connection that was made at `now`.
    pub(super) fn new(plan: Plan, limits: Limits, now: Instant) -> Self {
        Self {
            plan,
            limits,
            sequences: Sequences::from_start(),
            channels: HashMap::new(),
            next_id: 1,
            subscribed: 0,
            awaited: BTreeSet::new(),
            awaited_since: now,
            any_snapshot: false,
            suspect: Vec::new(),
            repairing: None,
            next_command: now,
            last_frame: now,
            last_ping: now,
        }
    }

    /// The first commands.
    pub(super) fn connected(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let alone: Vec<_> = names(self.plan.channels.iter().filter(|c| !c.takes_markets()));
        if !alone.is_empty() {
            self.send(
                Command::Subscribe(Subscribe { channels: alone, ..Subscribe::default() }),
                actions,
            );
        }
        self.advance(now, actions);
    }

    /// A frame of any kind came in, data or control.
    pub(super) fn alive(&mut self, now: Instant) {
        self.last_frame = now;
    }

    /// A message came in; its header was read.
    pub(super) fn frame(&mut self, header: &Header<'_>, now: Instant, actions: &mut Vec<Action>) {
        self.last_frame = now;
        if let (Some(sid), Some(seq)) = (header.sid, header.seq) {
            match self.sequences.check(sid, seq) {
                Step::Next => {}
                Step::Gap { expected } => {
                    actions.push(Action::Record(Event::Gap { sid, expected, got: seq }));
                    self.suspect_all(sid, header.kind(), now);
                }
                Step::Repeat { expected } => {
                    actions.push(Action::Record(Event::Repeat { sid, expected, got: seq }));
                }
            }
        }
        match header.kind() {
            "orderbook_snapshot" => self.snapshot(header, actions),
            "subscribed" => {
                if let Ok(Message::Subscribed(reply)) = Message::parse(header) {
                    self.channels.insert(reply.sid, Channel::parse(&reply.channel));
                }
            }
            "error" => self.error(header, actions),
            // Most frames by far; nothing waits for them.
            _ => return,
        }
        self.advance(now, actions);
    }

    /// Time passed.
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
        let unanswered = now.saturating_duration_since(self.awaited_since) >= self.limits.snapshot;
        if unanswered && !self.awaited.is_empty() {
            self.ask_again(now, actions);
        }
        let late =
            |repair: &Repair| now.saturating_duration_since(repair.since) >= self.limits.snapshot;
        if self.suspect.is_empty() && self.repairing.as_ref().is_some_and(late) {
            actions.push(Action::Reconnect("the snapshots after a gap did not come".to_owned()));
            return;
        }
        self.advance(now, actions);
    }

    /// Snapshots did not come in time. One dark market must not cost the others their books, so the
    /// connection is given up only when all are dark.
    fn ask_again(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.any_snapshot {
            let limit = self.limits.snapshot.as_secs_f64();
            actions.push(Action::Reconnect(format!("subscribed, but no snapshot in {limit:.1} s")));
            return;
        }
        self.awaited_since = now;
        let dark: Vec<_> = self.awaited.iter().cloned().collect();
        tracing::warn!(markets = dark.len(), first = dark.first(), "no snapshot yet: asking again");
        for ticker in dark {
            if !self.suspect.contains(&ticker) {
                self.suspect.push(ticker);
            }
        }
    }

    fn snapshot(&mut self, header: &Header<'_>, actions: &mut Vec<Action>) {
        #[derive(Deserialize)]
        struct Market<'a> {
            #[serde(borrow)]
            market_ticker: std::borrow::Cow<'a, str>,
            #[serde(borrow)]
            market_id: Option<std::borrow::Cow<'a, str>>,
        }
        let Some(market) = header.msg.and_then(|msg| serde_json::from_str::<Market<'_>>(msg).ok())
        else {
            return;
        };
        self.any_snapshot = true;
        if market.market_id.is_some_and(|id| id.is_empty()) {
            let ticker = market.market_ticker.clone().into_owned().into();
            actions.push(Action::Record(Event::UnknownMarket { ticker }));
        }
        self.awaited.remove(&*market.market_ticker);
        let Some(repair) = &mut self.repairing else { return };
        repair.waiting.remove(&*market.market_ticker);
        if repair.waiting.is_empty() {
            let event = Event::Repaired { sid: repair.sid, markets: repair.markets };
            actions.push(Action::Record(event));
            self.repairing = None;
        }
    }

    /// After a gap: which markets' books can no longer be trusted.
    fn suspect_all(&mut self, sid: u64, kind: &str, now: Instant) {
        let book = match self.channels.get(&sid) {
            Some(channel) => *channel == Channel::OrderbookDelta,
            None => matches!(kind, "orderbook_delta" | "orderbook_snapshot"),
        };
        if !book {
            return;
        }
        self.channels.insert(sid, Channel::OrderbookDelta);
        let markets: BTreeSet<String> =
            self.plan.markets.iter().take(self.subscribed).map(ToString::to_string).collect();
        self.suspect = markets.iter().cloned().collect();
        self.repairing = Some(Repair { sid, markets: markets.len(), waiting: markets, since: now });
    }

    fn error(&mut self, header: &Header<'_>, actions: &mut Vec<Action>) {
        let Ok(Message::Error(error)) = Message::parse(header) else { return };
        let text = format!("error {} of the exchange: {}", error.code.0, error.text);
        match error.code.remedy() {
            Remedy::GiveUp => actions.push(Action::Refused(text)),
            Remedy::Resubscribe | Remedy::SlowDown => actions.push(Action::Reconnect(text)),
            Remedy::Record => tracing::warn!(error = text, "the exchange refused a command"),
        }
    }

    /// Sends what is due: snapshots after a gap first, then the next markets of the plan.
    fn advance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if now < self.next_command {
            return;
        }
        if let Some(sid) = self.book_sid().filter(|_| !self.suspect.is_empty()) {
            let chunk = self.suspect.len().min(MARKETS_PER_COMMAND);
            let markets = self.suspect.drain(..chunk).collect();
            self.send(Command::Update { sid, action: Update::GetSnapshot(markets) }, actions);
        } else if self.awaited.is_empty() && self.subscribed < self.plan.markets.len() {
            self.subscribe_more(now, actions);
        } else {
            return;
        }
        self.next_command = now + PACE;
    }

    /// Subscribes to the next markets. A second subscription to an open channel is merged into it,
    /// so the first and the later commands are the same.
    fn subscribe_more(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let markets: Vec<String> = self
            .plan
            .markets
            .iter()
            .skip(self.subscribed)
            .take(MARKETS_PER_COMMAND)
            .map(ToString::to_string)
            .collect();
        self.subscribed += markets.len();
        let (books, rest): (Vec<_>, Vec<_>) = self
            .plan
            .channels
            .iter()
            .filter(|channel| channel.takes_markets())
            .partition(|channel| **channel == Channel::OrderbookDelta);
        let (books, rest) = (names(books.into_iter()), names(rest.into_iter()));
        if !books.is_empty() {
            self.awaited.extend(markets.iter().cloned());
            self.awaited_since = now;
        }
        for (channels, use_yes_price) in [(books, Some(false)), (rest, None)] {
            if channels.is_empty() {
                continue;
            }
            let subscribe = Subscribe {
                channels,
                market_tickers: markets.clone(),
                use_yes_price,
                skip_ticker_ack: Some(true),
                ..Subscribe::default()
            };
            self.send(Command::Subscribe(subscribe), actions);
        }
    }

    fn send(&mut self, command: Command, actions: &mut Vec<Action>) {
        actions.push(Action::Send { id: self.next_id, command });
        self.next_id += 1;
    }

    fn book_sid(&self) -> Option<u64> {
        let book = |(sid, channel): (&u64, &Channel)| {
            (*channel == Channel::OrderbookDelta).then_some(*sid)
        };
        self.channels.iter().find_map(book)
    }
}

fn names<'a>(channels: impl Iterator<Item = &'a Channel>) -> Vec<String> {
    channels.map(|channel| channel.as_str().to_owned()).collect()
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
            Self { session: Session::new(plan, Limits::default(), now), now }
        }

        fn connected(&mut self) -> Vec<Action> {
            let mut actions = Vec::new();
            self.session.connected(self.now, &mut actions);
            actions
        }

        fn frame(&mut self, text: &str) -> Vec<Action> {
            let mut actions = Vec::new();
            self.session.frame(&Header::parse(text).unwrap(), self.now, &mut actions);
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
            self.frame(
                r#"{"type":"subscribed","id":2,"msg":{"channel":"orderbook_delta","sid":2}}"#,
            );
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
        assert_eq!(params[0]["channels"], serde_json::json!(["market_lifecycle_v2"]));
        assert_eq!(params[1]["channels"], serde_json::json!(["orderbook_delta"]));
        assert_eq!(params[1]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
        assert_eq!(params[1]["use_yes_price"], serde_json::json!(false));
        assert_eq!(params[2]["channels"], serde_json::json!(["ticker", "trade"]));
        assert_eq!(sent.iter().map(|c| c["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn the_next_markets_are_asked_for_when_the_first_have_their_snapshots() {
        let mut scene = Scene::of(250);
        scene.connected();
        scene.acknowledge();
        for market in 0..99 {
            assert!(scene.snapshot(market as u64 + 1, market).is_empty());
        }
        assert!(scene.pass(Duration::from_secs(1)).is_empty());
        let sent = commands(&scene.snapshot(100, 99));
        let next = sent[0]["params"]["market_tickers"].as_array().unwrap();
        assert_eq!((next.len(), next[0].as_str()), (100, Some("KX-100")));
        assert_eq!(sent.len(), 2);
    }

    #[test]
    fn a_gap_is_recorded_and_every_market_is_asked_for_again() {
        let mut scene = Scene::of(2);
        scene.connected();
        scene.acknowledge();
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
        let mut scene = Scene::of(1);
        scene.connected();
        scene.acknowledge();
        scene.snapshot(1, 0);
        let actions = scene.frame(r#"{"type":"trade","sid":3,"seq":4,"msg":{}}"#);
        assert_eq!(brief(&actions), ["Record(Gap { sid: 3, expected: 1, got: 4 })"]);
        assert!(scene.pass(Duration::from_secs(1)).is_empty());
    }

    #[test]
    fn replies_count_in_the_sequence_and_repeats_are_recorded() {
        let mut scene = Scene::of(1);
        scene.connected();
        scene.acknowledge();
        scene.snapshot(1, 0);
        assert!(scene.frame(r#"{"type":"ok","id":5,"sid":2,"seq":2,"msg":{}}"#).is_empty());
        assert!(scene.delta(3).is_empty());
        assert_eq!(brief(&scene.delta(3)), ["Record(Repeat { sid: 2, expected: 4, got: 3 })"]);
    }

    #[test]
    fn silence_is_pinged_and_then_given_up() {
        let mut scene = Scene::of(1);
        scene.connected();
        scene.acknowledge();
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
        let mut scene = Scene::of(2);
        scene.connected();
        scene.acknowledge();
        scene.snapshot(1, 0);
        for _ in 0..3 {
            scene.pass(Duration::from_secs(15));
            scene.session.alive(scene.now);
            let sent = commands(&scene.pass(Duration::from_secs(15)));
            assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["KX-1"]));
            scene.session.alive(scene.now);
        }

        let mut scene = Scene::of(2);
        scene.connected();
        scene.acknowledge();
        scene.pass(Duration::from_secs(15));
        scene.session.alive(scene.now);
        let actions = scene.pass(Duration::from_secs(15));
        let last = brief(&actions).pop().unwrap();
        assert!(last.starts_with("Reconnect(\"subscribed, but no snapshot"), "{last}");
    }

    #[test]
    fn an_unknown_market_is_named() {
        let mut scene = Scene::of(1);
        scene.connected();
        scene.acknowledge();
        let actions = scene.frame(
            r#"{"type":"orderbook_snapshot","sid":2,"seq":1,"msg":{"market_ticker":"KX-0","market_id":""}}"#,
        );
        assert_eq!(brief(&actions), ["Record(UnknownMarket { ticker: \"KX-0\" })"]);
    }

    #[test]
    fn errors_are_survived_repaired_or_final() {
        let error =
            |code| format!(r#"{{"type":"error","id":1,"msg":{{"code":{code},"msg":"m"}}}}"#);
        for (code, expected) in
            [(25, "Reconnect"), (27, "Reconnect"), (9, "Refused"), (8, ""), (99, "")]
        {
            let mut scene = Scene::of(1);
            scene.connected();
            let actions = brief(&scene.frame(&error(code)));
            assert!(actions.first().map_or("", |a| a).starts_with(expected), "{code} {actions:?}");
            assert_eq!(actions.is_empty(), expected.is_empty());
        }
    }
}
