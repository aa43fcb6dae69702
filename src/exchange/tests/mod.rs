//! The exchange as a client sees it.

mod client;
mod live;
