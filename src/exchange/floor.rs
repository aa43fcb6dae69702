//! The exchange's one shared state: the markets, and who is subscribed to them.
//!
//! Everything that changes it goes through one lock, so that books and stream positions taken
//! under it belong together.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::mpsc;

use super::{
    fault::{Fault, Reception, Reply, Upset},
    gate::{self, Gate, Outgoing},
    session::{Frame, Session},
    truth::Checkpoint,
    world::{World, WorldConfig},
};

/// Places in an outbox kept for the news that a subscription overflowed.
const RESERVED: usize = 64;

/// The exchange's error for a client that reads too slowly.
const OVERFLOW: u16 = 25;

/// Commands beyond this many are obeyed but not remembered.
const COMMANDS_MAX: usize = 100_000;

/// A text a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCommand {
    /// The connection, counted from 1 in the order accepted.
    pub connection: u32,
    /// The text, verbatim.
    pub text: String,
}

pub(super) struct Floor {
    state: Mutex<State>,
    script: Vec<Fault>,
    outbox_frames: usize,
}

struct State {
    world: World,
    seats: BTreeMap<u32, Seat>,
    commands: Vec<ClientCommand>,
    opened: u32,
    attempts: u32,
    started_us: i64,
    /// How far the exchange's clock is off.
    skew_us: i64,
    /// What is still to happen to the whole, and how long after the start.
    upsets: Vec<(Duration, Upset)>,
}

/// One connection's place.
struct Seat {
    session: Session,
    gate: Gate,
    outbox: mpsc::Sender<Outgoing>,
    since_us: i64,
}

/// What a connection's task is given.
pub(super) struct Admission {
    pub(super) connection: u32,
    pub(super) outbox: mpsc::Receiver<Outgoing>,
    pub(super) cut_after: Option<u64>,
}

impl Floor {
    pub(super) fn new(
        config: WorldConfig,
        script: Vec<Fault>,
        outbox_frames: usize,
        now_us: i64,
    ) -> Self {
        let state = State {
            world: World::new(config, now_us),
            seats: BTreeMap::new(),
            commands: Vec::new(),
            opened: 0,
            attempts: 0,
            started_us: now_us,
            skew_us: 0,
            upsets: script.iter().filter_map(upset).collect(),
        };
        Self { state: Mutex::new(state), script, outbox_frames: outbox_frames.max(1) + RESERVED }
    }

    /// What meets the next upgrade request, if the script says so.
    pub(super) fn reception(&self) -> Option<Reception> {
        let mut state = self.state();
        state.attempts += 1;
        gate::reception(&self.script, state.attempts)
    }

    /// What the exchange takes the time to be.
    pub(super) fn clock_us(&self, now_us: i64) -> i64 {
        now_us + self.state().skew_us
    }

    pub(super) fn admit(&self, now_us: i64) -> Admission {
        let (sender, outbox) = mpsc::channel(self.outbox_frames);
        let mut state = self.state();
        state.opened += 1;
        let connection = state.opened;
        let gate = Gate::new(&self.script, connection);
        let cut_after = gate.cut_after();
        let session = Session::default();
        let seat = Seat { session, gate, outbox: sender, since_us: now_us };
        state.seats.insert(connection, seat);
        Admission { connection, outbox, cut_after }
    }

    pub(super) fn leave(&self, connection: u32) {
        self.state().seats.remove(&connection);
    }

    pub(super) fn log(&self, connection: u32, text: &str) {
        self.state().remember(connection, text);
    }

    /// Does what a client asks.
    pub(super) fn command(&self, connection: u32, text: &str, now_us: i64) {
        let mut state = self.state();
        state.remember(connection, text);
        let State { world, seats, skew_us, .. } = &mut *state;
        if let Some(seat) = seats.get_mut(&connection) {
            let (mut frames, clock_us) = (Vec::new(), now_us + *skew_us);
            match seat.gate.reply() {
                Some(Reply::Ignore) => {}
                Some(Reply::Error { code, scoped }) => {
                    frames.push(seat.session.refuse(text, code, scoped, clock_us));
                }
                Some(Reply::Late(time)) => {
                    let due_us = clock_us.saturating_add(micros(time));
                    seat.session.command(text, world, (clock_us, Some(due_us)), &mut frames);
                }
                None => seat.session.command(text, world, (clock_us, None), &mut frames),
            }
            seat.post(frames.drain(..), now_us, clock_us);
        }
        state.tell(now_us);
    }

    /// Lets time pass and tells everybody what happened.
    pub(super) fn advance(&self, now_us: i64) {
        let mut state = self.state();
        state.upset(now_us);
        state.world.advance(now_us);
        state.tell(now_us);
    }

    pub(super) fn set_rate(&self, rate: u32) {
        self.state().world.set_rate(rate);
    }

    pub(super) fn close(&self, ticker: &str) {
        self.state().world.close(ticker);
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        let state = self.state();
        let position =
            |(&connection, seat): (&u32, &Seat)| seat.session.positions(connection, &state.world);
        let positions = state.seats.iter().flat_map(position).collect();
        Checkpoint { books: state.world.books(), positions }
    }

    pub(super) fn connections_opened(&self) -> u32 {
        self.state().opened
    }

    pub(super) fn attempts(&self) -> u32 {
        self.state().attempts
    }

    pub(super) fn commands(&self) -> Vec<ClientCommand> {
        self.state().commands.clone()
    }

    /// Reads or makes markets, without telling anybody before the next tick.
    pub(super) fn with_world<T>(&self, read: impl FnOnce(&mut World) -> T) -> T {
        read(&mut self.state().world)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, connection: u32, text: &str) {
        if self.commands.len() < COMMANDS_MAX {
            self.commands.push(ClientCommand { connection, text: text.to_owned() });
        }
    }

    /// Lets happen to the whole what is due.
    fn upset(&mut self, now_us: i64) {
        let since_start = age(self.started_us, now_us);
        for (_, what) in self.upsets.extract_if(.., |(after, _)| *after <= since_start) {
            match what {
                Upset::Clock(skew_ms) => self.skew_us = skew_ms.saturating_mul(1_000),
                Upset::Burst(events) => self.world.burst(events),
            }
        }
    }

    fn tell(&mut self, now_us: i64) {
        let clock_us = now_us + self.skew_us;
        let mut events = self.world.take_events();
        events.iter_mut().for_each(|event| event.ts_us += self.skew_us);
        let mut frames = Vec::new();
        for seat in self.seats.values_mut() {
            for event in &events {
                seat.session.event(event, &self.world, clock_us, &mut frames);
            }
            // The books hold these events already.
            seat.session.pay(&self.world, clock_us, &mut frames);
            seat.post(frames.drain(..), now_us, clock_us);
        }
        self.seats.retain(|_, seat| !seat.outbox.is_closed());
    }
}

impl Seat {
    /// Queues frames for the socket; never waits.
    fn post(&mut self, frames: impl Iterator<Item = Frame>, now_us: i64, clock_us: i64) {
        let mut dead = Vec::new();
        let age = age(self.since_us, now_us);
        // A full or closed outbox means a client that is gone in all but name.
        let send = |outgoing| drop(self.outbox.try_send(outgoing));
        for mut frame in frames {
            if let Some(sid) = frame.sid {
                if dead.contains(&sid) {
                    continue;
                }
                let overflows = self.outbox.capacity() <= RESERVED;
                let code = self.gate.end(&frame, age).or(overflows.then_some(OVERFLOW));
                if let Some(code) = code {
                    let Some(error) = self.session.end(&frame, code, clock_us) else { continue };
                    frame = error;
                    dead.push(sid);
                }
            }
            self.gate.pass(frame, age, send);
        }
        self.gate.pass_time(age, send);
    }
}

fn upset(fault: &Fault) -> Option<(Duration, Upset)> {
    match fault {
        Fault::Whole { after, what } => Some((*after, *what)),
        Fault::Door { .. } | Fault::Stream { .. } | Fault::Command { .. } => None,
    }
}

fn age(since_us: i64, now_us: i64) -> Duration {
    Duration::from_micros(u64::try_from(now_us - since_us).unwrap_or(0))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
