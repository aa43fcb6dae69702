//! What is said on the wire, in every generation of it.
//!
//! Pure: no I/O, no clock, no float. Text goes in, exact integers come out, and text goes back
//! without a change. Follows Kalshi's Predictions WebSocket protocol from 2025 (integer cents)
//! to October 2026 (decimal strings only). Anything unknown is tolerated: unknown keys are
//! ignored, unknown message types become [`Message::Other`].
//!
//! Left out: private channels (fills, orders, positions) and reference prices. They are kept raw
//! on the tape and not given types.

#![deny(clippy::float_arithmetic)]

mod fixed;
mod price;
mod size;
mod ticker;
mod scan;
mod header;
mod message;
mod ladder;
mod quick;
mod command;
mod error_code;
mod sequence;
mod auth;

pub use auth::{AuthHeaders, Credentials, KeyError};
pub use command::{Action, Channel, Command, Subscribe};
pub use error_code::{ErrorCode, Remedy};
pub use fixed::FixedError;
pub use header::{Header, NotJson};
pub use ladder::Ladder;
pub use message::{
    Delta, EventLifecycle, ExchangeError, MarketLifecycle, Message, ParseError, Parsed, Snapshot,
    SubscriptionReply, Ticker as TickerUpdate, Trade,
};
pub use price::{Price, Side};
pub use sequence::{Sequences, Step};
pub use size::Size;
pub use ticker::{Ticker, TickerError};
