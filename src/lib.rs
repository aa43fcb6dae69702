#![cfg_attr(feature = "duckdb", doc = include_str!("../README.md"))]
//!
//! # Rooms, in the order to read them
//!
//! [`protocol`] is what is said on the wire, [`book`] one market's order book, [`tape`] the raw log
//! on disk, [`ingestor`] the live recorder, [`exchange`] a simulated exchange. With the feature
//! `duckdb`: `lake` turns the tape into typed rows, and `analysis` answers questions over them.

pub mod protocol;
pub mod book;
pub mod tape;
#[cfg(feature = "duckdb")]
pub mod lake;
#[cfg(feature = "duckdb")]
pub mod analysis;
pub mod ingestor;
pub mod exchange;
