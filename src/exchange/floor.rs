//! The exchange's one shared state: the markets, and who is subscribed to them.
//!
//! Everything that changes it goes through one lock, so that books and stream positions taken
//! under it belong together.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use super::{
    fault::{Fault, Gate, Outgoing},
    session::{Frame, Session},
    truth::Checkpoint,
    world::{World, WorldConfig},
};

/// Places in an outbox kept for the news that a subscription overflowed.
const RESERVED: usize = 64;

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
    refused: u32,
}

/// One connection's place.
struct Seat {
    session: Session,
    gate: Gate,
    outbox: mpsc::Sender<Outgoing>,
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
            refused: 0,
        };
        Self { state: Mutex::new(state), script, outbox_frames: outbox_frames.max(1) + RESERVED }
    }

    /// The status to refuse the next upgrade with, if the script says so.
    pub(super) fn refuse(&self) -> Option<u16> {
        let mut state = self.state();
        let status = super::fault::refusal(&self.script, state.refused)?;
        state.refused += 1;
        Some(status)
    }

    pub(super) fn admit(&self) -> Admission {
        let (sender, outbox) = mpsc::channel(self.outbox_frames);
        let mut state = self.state();
        state.opened += 1;
        let connection = state.opened;
        let gate = Gate::new(&self.script, connection);
        let cut_after = gate.cut_after();
        state.seats.insert(connection, Seat { session: Session::default(), gate, outbox: sender });
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
        let State { world, seats, .. } = &mut *state;
        if let Some(seat) = seats.get_mut(&connection) {
            let mut frames = Vec::new();
            seat.session.command(text, world, now_us, &mut frames);
            seat.post(frames.drain(..), now_us);
        }
        state.tell(now_us);
    }

    /// Lets time pass and tells everybody what happened.
    pub(super) fn advance(&self, now_us: i64) {
        let mut state = self.state();
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

    fn tell(&mut self, now_us: i64) {
        let events = self.world.take_events();
        let mut frames = Vec::new();
        for seat in self.seats.values_mut() {
            for event in &events {
                seat.session.event(event, &self.world, now_us, &mut frames);
            }
            seat.post(frames.drain(..), now_us);
        }
        self.seats.retain(|_, seat| !seat.outbox.is_closed());
    }
}

impl Seat {
    /// Queues frames for the socket; never waits.
    fn post(&mut self, frames: impl Iterator<Item = Frame>, now_us: i64) {
        let mut dead = Vec::new();
        for mut frame in frames {
            if let Some(sid) = frame.sid {
                if dead.contains(&sid) {
                    continue;
                }
                if self.outbox.capacity() <= RESERVED {
                    let Some(error) = self.session.overflow(&frame, now_us) else { continue };
                    frame = error;
                    dead.push(sid);
                }
            }
            let outbox = &self.outbox;
            self.gate.pass(frame, |outgoing| {
                // A full or closed outbox means a client that is gone in all but name.
                drop(outbox.try_send(outgoing));
            });
        }
    }
}
