//! Records Kalshi's order books and answers questions over the archive.
//!
//! Rooms, in the order to read them: [`protocol`] is what is said on the wire, [`book`] one
//! market's order book, [`tape`] the raw log on disk. With the feature `duckdb`: `lake` turns the
//! tape into typed rows, and `analysis` answers questions over them.

pub mod protocol;
pub mod book;
pub mod tape;
#[cfg(feature = "duckdb")]
pub mod lake;
#[cfg(feature = "duckdb")]
pub mod analysis;
pub mod ingestor;
pub mod exchange;
