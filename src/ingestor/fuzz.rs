//! Any frames at any times: a session never panics, never storms, and never waits for ever.
//!
//! The body of a fuzz target (`fuzz/`); the inputs that taught it something are run by the test.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    config::Limits,
    session::{Action, Plan, Session},
};
use crate::protocol::{Channel, Header};
use crate::tape::Event;

/// In one go the session asks for a list or snapshots, and for the next markets of each channel.
const COMMANDS_AT_ONCE: usize = 6;
/// It does so twenty times a second at most, as `PACE` says.
const COMMANDS_PER_SECOND_MAX: usize = COMMANDS_AT_ONCE * 21;
/// What one frame or the passing of time can bring besides.
const ACTIONS_MAX: usize = 16;

/// The input's lines: `*250` is a plan of so many markets, `+1000` so many milliseconds in which
/// nothing comes in, and anything else a frame. The session is made anew as the worker would.
///
/// # Panics
/// Where one of these does not hold.
pub fn holds(bytes: &[u8]) {
    let mut scene = Scene::of(3);
    for line in String::from_utf8_lossy(bytes).lines() {
        let number = |text: &str| text.parse::<u16>().ok();
        if let Some(markets) = line.strip_prefix('*').and_then(number) {
            scene = Scene::of(markets % 512);
        } else if let Some(ms) = line.strip_prefix('+').and_then(number) {
            scene.pass(Duration::from_millis(u64::from(ms)));
        } else if let Ok(header) = Header::parse(line) {
            scene.frame(&header, line.len());
        }
    }
    // Where nothing comes any more, the connection is given up.
    let connections = scene.connections;
    for _ in 0..=Limits::default().silence.as_secs() {
        scene.pass(Duration::from_secs(1));
    }
    assert!(scene.connections > connections, "waits for ever");
}

struct Scene {
    plan: Plan,
    session: Session,
    now: Instant,
    connections: u32,
    last_id: u64,
    sent: VecDeque<Instant>,
}

impl Scene {
    fn of(markets: u16) -> Self {
        let plan = Plan {
            markets: (0..markets).filter_map(|n| format!("KX-{n}").parse().ok()).collect(),
            channels: vec![
                Channel::OrderbookDelta,
                Channel::Ticker,
                Channel::Trade,
                Channel::MarketLifecycle,
            ],
        };
        let now = Instant::now();
        let session = Session::new(&plan, Limits::default(), now);
        let mut scene =
            Self { plan, session, now, connections: 1, last_id: 0, sent: VecDeque::new() };
        scene.pass(Duration::ZERO);
        scene
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let mut actions = Vec::new();
        self.session.tick(self.now, &mut actions);
        self.act(actions, ACTIONS_MAX);
    }

    fn frame(&mut self, header: &Header<'_>, bytes: usize) {
        let mut actions = Vec::new();
        self.session.frame(header, self.now, self.now, &mut actions);
        // A list of subscriptions may end each of those that earlier lists named.
        self.act(actions, ACTIONS_MAX + bytes.max(64 << 10));
    }

    fn act(&mut self, actions: Vec<Action>, most: usize) {
        assert!(actions.len() <= most, "{} actions at once", actions.len());
        for action in actions {
            match action {
                Action::Send { id, command } => {
                    assert_eq!(id, self.last_id + 1, "command ids count from 1");
                    self.last_id = id;
                    let text = command.to_json(id);
                    assert!(Header::parse(&text).is_ok(), "{text}");
                    self.sent.push_back(self.now);
                }
                Action::Record(Event::Gap { expected, got, .. }) => assert!(expected < got),
                Action::Record(Event::Repeat { expected, got, .. }) => assert!(got < expected),
                Action::Record(_) | Action::Ping => {}
                Action::Reconnect(_) | Action::Refused(_) => return self.reconnect(),
            }
        }
        let now = self.now;
        while self.sent.front().is_some_and(|sent| now - *sent >= Duration::from_secs(1)) {
            self.sent.pop_front();
        }
        assert!(self.sent.len() <= COMMANDS_PER_SECOND_MAX, "{} commands", self.sent.len());
    }

    fn reconnect(&mut self) {
        self.connections += 1;
        self.last_id = 0;
        self.sent.clear();
        self.session = Session::new(&self.plan, Limits::default(), self.now);
    }
}

#[cfg(test)]
#[test]
fn every_input_that_was_ever_of_interest_holds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/session");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(inputs.len() > 10, "{inputs:?}");
    for input in inputs {
        let held = std::panic::catch_unwind(|| holds(&std::fs::read(&input).unwrap()));
        assert!(held.is_ok(), "{}", input.display());
    }
}
