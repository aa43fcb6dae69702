//! Thousands of seeded random histories of one worker against a model of the exchange, in simulated
//! time. A history has a troubled first half and a calm second half; what must hold:
//!
//! - every lost frame lies in a declared gap, if anything came after it on its subscription;
//! - in the end no market is left dark: each has a snapshot from after the last trouble, but for
//!   those that the exchange refuses, which are declared, and one that it never answers for;
//! - there is no storm of commands.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    config::Limits,
    session::{Action, Plan, Session},
};
use crate::protocol::{Channel, Header};
use crate::tape::Event;

const STEP: Duration = Duration::from_millis(50);
const TROUBLE_STEPS: u32 = 1_200;
const CALM_STEPS: u32 = 4_000;
const COMMANDS_PER_SECOND_MAX: usize = 100;
/// The exchange accepts this market, and never sends its book.
const NEVER_ANSWERED: &str = "KX-NEVER";
/// The exchange refuses every subscription that names this market.
const REFUSED: &str = "KX-REFUSED";

/// The exchange's side of one connection, and what the client may know.
#[derive(Default)]
struct Line {
    /// Channel to sid, next seq and markets.
    subscriptions: BTreeMap<String, (u64, u64, BTreeSet<String>)>,
    last_sid: u64,
    outbox: Vec<String>,
    /// Sid and seq of book frames that were not delivered.
    lost: Vec<(u64, u64)>,
    /// The last seq delivered, by sid.
    delivered: BTreeMap<u64, u64>,
    /// Markets whose book the client has, as far as the frames delivered tell.
    known: BTreeSet<String>,
}

impl Line {
    fn send(&mut self, channel: &str, body: &str) {
        let Some((sid, seq, _)) = self.subscriptions.get_mut(channel) else { return };
        *seq += 1;
        self.outbox.push(format!(r#"{{{body},"sid":{sid},"seq":{seq}}}"#));
    }

    fn obey(&mut self, text: &str, random: &mut fastrand::Rng, trouble: bool) {
        let command: serde_json::Value = serde_json::from_str(text).unwrap();
        let id = &command["id"];
        let params = &command["params"];
        let markets: Vec<String> =
            serde_json::from_value(params["market_tickers"].clone()).unwrap_or_default();
        if trouble && random.u8(0..12) == 0 {
            return;
        }
        if command["cmd"] == "subscribe" && markets.iter().any(|market| market == REFUSED) {
            self.outbox.push(format!(
                r#"{{"type":"error","id":{id},"msg":{{"code":11,"msg":"Invalid parameter"}}}}"#
            ));
            return;
        }
        if trouble && random.u8(0..10) == 0 {
            let code = [18, 25, 26, 27, 1][random.usize(0..5)];
            let sid = (code == 25).then(|| self.kill(random)).flatten();
            let sid = sid.map(|sid| format!(r#","sid":{sid}"#)).unwrap_or_default();
            let error =
                format!(r#"{{"type":"error","id":{id}{sid},"msg":{{"code":{code},"msg":"m"}}}}"#);
            self.outbox.push(error);
            return;
        }
        match command["cmd"].as_str().unwrap() {
            "subscribe" => {
                let channel = params["channels"][0].as_str().unwrap().to_owned();
                let open = self.subscriptions.contains_key(&channel);
                if !open {
                    self.last_sid += 1;
                    let sid = self.last_sid;
                    self.subscriptions.insert(channel.clone(), (sid, 0, BTreeSet::new()));
                    self.outbox.push(format!(
                        r#"{{"type":"subscribed","id":{id},"msg":{{"channel":"{channel}","sid":{sid}}}}}"#
                    ));
                } else if channel == "ticker" {
                    self.outbox.push(format!(r#"{{"type":"ok","id":{id}}}"#));
                } else {
                    self.send(&channel, &format!(r#""type":"ok","id":{id},"msg":{{}}"#));
                }
                for market in markets {
                    let (_, _, held) = self.subscriptions.get_mut(&channel).unwrap();
                    if held.insert(market.clone()) && channel == "orderbook_delta" {
                        self.snapshot(&market);
                    }
                }
            }
            "update_subscription" => {
                let sid = params["sids"][0].as_u64();
                if self.subscriptions.get("orderbook_delta").map(|s| s.0) == sid {
                    markets.iter().for_each(|market| self.snapshot(market));
                }
            }
            "list_subscriptions" => {
                let list: Vec<_> = self
                    .subscriptions
                    .iter()
                    .map(|(channel, (sid, _, _))| {
                        format!(r#"{{"channel":"{channel}","sid":{sid}}}"#)
                    })
                    .collect();
                let list = list.join(",");
                self.outbox.push(format!(r#"{{"type":"ok","id":{id},"msg":[{list}]}}"#));
            }
            other => panic!("unexpected command {other}"),
        }
    }

    fn snapshot(&mut self, market: &str) {
        if market == NEVER_ANSWERED {
            return;
        }
        let body = format!(
            r#""type":"orderbook_snapshot","msg":{{"market_ticker":"{market}","market_id":"x"}}"#
        );
        self.send("orderbook_delta", &body);
    }

    /// Ends a subscription at the exchange; its sid.
    fn kill(&mut self, random: &mut fastrand::Rng) -> Option<u64> {
        let channels: Vec<_> = self.subscriptions.keys().cloned().collect();
        let channel = channels.get(random.usize(0..channels.len().max(1)))?;
        if channel == "orderbook_delta" {
            self.known.clear();
        }
        self.subscriptions.remove(channel).map(|(sid, _, _)| sid)
    }
}

struct History {
    random: fastrand::Rng,
    now: Instant,
    limits: Limits,
    plan: Plan,
    session: Session,
    line: Line,
    gaps: Vec<(u64, u64, u64)>,
    /// Markets whose book the session said was refused on this connection.
    refused: BTreeSet<String>,
    commands: Vec<Instant>,
    connections: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let now = Instant::now();
        let count = random.usize(1..350);
        let mut markets: Vec<String> = (0..count).map(|n| format!("KX-{n}")).collect();
        for special in [NEVER_ANSWERED, REFUSED] {
            if random.bool() {
                markets.insert(random.usize(0..=markets.len()), special.to_owned());
            }
        }
        let plan = Plan {
            markets: markets.iter().map(|market| market.parse().unwrap()).collect(),
            channels: vec![
                Channel::OrderbookDelta,
                Channel::Ticker,
                Channel::Trade,
                Channel::MarketLifecycle,
            ],
        };
        let limits = Limits::default();
        let session = Session::new(&plan, limits, now);
        Self {
            random,
            now,
            limits,
            plan,
            session,
            line: Line::default(),
            gaps: Vec::new(),
            refused: BTreeSet::new(),
            commands: Vec::new(),
            connections: 1,
        }
    }

    fn step(&mut self, trouble: bool) {
        self.now += STEP;
        let mut actions = Vec::new();
        if trouble && self.random.u16(0..2_000) == 0 {
            return self.reconnect();
        }
        // Sometimes the exchange says nothing for a while, which is no trouble by itself.
        if self.random.u8(0..4) > 0 {
            self.trade();
        }
        if trouble
            && self.random.u16(0..1_500) == 0
            && let Some(sid) = self.line.kill(&mut self.random)
        {
            self.line
                .outbox
                .push(format!(r#"{{"type":"error","sid":{sid},"msg":{{"code":25,"msg":"m"}}}}"#));
        }
        for frame in std::mem::take(&mut self.line.outbox) {
            self.deliver(&frame, trouble, &mut actions);
        }
        self.session.tick(self.now, &mut actions);
        for action in actions {
            match action {
                Action::Send { id, command } => {
                    self.commands.push(self.now);
                    self.line.obey(&command.to_json(id), &mut self.random, trouble);
                }
                Action::Record(Event::Gap { sid, expected, got }) => {
                    self.gaps.push((sid, expected, got));
                }
                Action::Record(Event::RefusedMarket { ticker, channel, .. }) => {
                    if channel == "orderbook_delta" {
                        self.refused.insert(ticker.into_owned());
                    }
                }
                Action::Record(_) | Action::Ping => {}
                Action::Reconnect(_) => return self.reconnect(),
                Action::Refused(reason) => panic!("{reason}"),
            }
        }
    }

    fn trade(&mut self) {
        let held = self.line.subscriptions.get("orderbook_delta").map(|(_, _, held)| held.clone());
        for market in held.into_iter().flatten() {
            if self.random.u8(0..8) == 0 {
                let body =
                    format!(r#""type":"orderbook_delta","msg":{{"market_ticker":"{market}"}}"#);
                self.line.send("orderbook_delta", &body);
            }
        }
        self.line.send("trade", r#""type":"trade","msg":{}"#);
    }

    fn deliver(&mut self, frame: &str, trouble: bool, actions: &mut Vec<Action>) {
        let header = Header::parse(frame).unwrap();
        let book = matches!(header.kind(), "orderbook_delta" | "orderbook_snapshot");
        if let (Some(sid), Some(seq), true) = (header.sid, header.seq, trouble)
            && self.random.u16(0..3_000) == 0
        {
            self.line.lost.push((sid, seq));
            if book {
                self.line.known.clear();
            }
            return;
        }
        if let (Some(sid), Some(seq)) = (header.sid, header.seq) {
            self.line.delivered.insert(sid, seq);
        }
        if header.kind() == "orderbook_snapshot" {
            let market: serde_json::Value = serde_json::from_str(header.msg.unwrap()).unwrap();
            self.line.known.insert(market["market_ticker"].as_str().unwrap().to_owned());
        }
        self.session.frame(&header, self.now, self.now, actions);
    }

    fn reconnect(&mut self) {
        self.check_gaps();
        self.connections += 1;
        self.line = Line::default();
        self.gaps.clear();
        self.refused.clear();
        self.now += Duration::from_secs(self.random.u64(0..30));
        self.session = Session::new(&self.plan, self.limits, self.now);
    }

    fn check_gaps(&self) {
        for &(sid, seq) in &self.line.lost {
            let shown = self.line.delivered.get(&sid).is_some_and(|last| *last > seq);
            let declared =
                self.gaps.iter().any(|&(s, from, to)| s == sid && (from..to).contains(&seq));
            assert!(!shown || declared, "sid {sid} seq {seq} was lost and not declared");
        }
    }

    fn check_end(&self) {
        self.check_gaps();
        let dark = |market: &&str| {
            *market != NEVER_ANSWERED
                && !self.line.known.contains(*market)
                && !self.refused.contains(*market)
        };
        let markets = self.plan.markets.iter().map(|market| market.as_str());
        let dark: Vec<&str> = markets.clone().filter(dark).collect();
        assert!(markets.filter(|market| *market == REFUSED).all(|m| self.refused.contains(m)));
        assert!(
            dark.is_empty(),
            "{} of {} markets dark; {:?}",
            dark.len(),
            self.plan.markets.len(),
            self.session,
        );
        let second = Duration::from_secs(1);
        let most = (0..self.commands.len())
            .map(|i| {
                self.commands[i..].iter().take_while(|t| **t < self.commands[i] + second).count()
            })
            .max();
        assert!(most <= Some(COMMANDS_PER_SECOND_MAX), "{most:?} commands in a second");
    }
}

#[test]
fn random_histories_leave_no_hole_undeclared_and_no_market_dark() {
    let first: u64 = std::env::var("KALSHI_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let count: u64 =
        std::env::var("KALSHI_HISTORIES").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    for seed in first..first + count {
        let outcome = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for step in 0..TROUBLE_STEPS + CALM_STEPS {
                history.step(step < TROUBLE_STEPS);
            }
            history.check_end();
        });
        assert!(outcome.is_ok(), "history {seed} fails: KALSHI_SEED={seed} KALSHI_HISTORIES=1");
    }
}
