//! Records Kalshi's order books and answers questions over the archive.

pub mod protocol;
pub mod tape;
pub mod ingestor;
pub mod exchange;
