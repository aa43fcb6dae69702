//! The exchange as a client sees it.

mod client;
mod shapes;
mod commands;
mod books;
mod live;
