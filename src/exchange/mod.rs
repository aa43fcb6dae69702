//! A server of Kalshi's protocol on loopback: a synthetic market, or a recording served again.
//!
//! For trying any client without an account, and for testing this one: it signs nothing and
//! parses nothing with the library's own code, keeps its books as single orders, and can say at
//! any moment what the true books are and how far each stream has come
//! ([`Exchange::checkpoint`]). It follows the protocol as of October 2026.
//!
//! Any ticker exists once somebody asks for it; which market it is depends on the seed and the
//! ticker alone. Tickers that hold [`UNKNOWN`] do not exist.
//!
//! Left out: orders and anything else private, markets by UUID, and discovery over REST.

mod grid;
mod event;
mod market;
mod world;
mod truth;
mod wire;
mod command;
mod session;
mod fault;
mod spec;
mod gate;
mod key;
mod auth;
mod floor;
mod recording;
mod request;
mod rest;
mod connection;
mod server;

pub use fault::{Damage, Fault, Moment, Payload, Reception, Reply, Upset, Which};
pub use floor::ClientCommand;
pub use key::KeyKind;
pub use market::UNKNOWN;
pub use server::{Exchange, ExchangeConfig, Source, environment};
pub use spec::{FAULTS, FaultError};
pub use truth::{BookImage, Checkpoint, Position};

#[cfg(test)]
mod tests;
