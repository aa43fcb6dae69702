//! The tape as typed rows.
//!
//! A [`Loader`] reads segments, a `Digester` turns their records into rows of the tables in
//! [`mod@table`], and a [`Sink`] takes them as Arrow batches: today [`Memory`], tables of an
//! in-memory DuckDB. What a line was counted as is in the [`LoadReport`]; nothing is skipped in
//! silence.
//!
//! The most important rows are the **spans**: for each market and stream the time in which the
//! book rebuilt from it is known to be right. A span opens at a snapshot. It closes where a number
//! of its subscription is missing, where its connection ends, or where a level would go negative.
//! What lies between spans is a hole, and no answer is computed across one unawares.
//!
//! Times: `recv` is when the recorder received a frame, `event` when the exchange says it
//! happened, and `at` the first of the two that there is, made so that it never falls within a
//! connection. Rows are chosen and ordered by `at`. No floats here.

#![deny(clippy::float_arithmetic)]

mod error;
mod report;
mod registry;
mod column;
pub mod table;
mod quote;
mod hole;
mod stream;
mod connection;
mod digest;
mod source;
mod load;
mod memory;

pub use error::Error;
pub use load::{Loader, Sink};
pub use memory::Memory;
pub use report::{Counts, Example, LoadReport, Outcome, SegmentReport};
