//! The tape as typed rows, kept as Parquet; can be deleted and built again at any time.
//!
//! A [`Lake`] belongs to a log folder. Opening it digests what is new: a `Digester` turns records
//! into rows, a `Stage` gathers them, and they are stored sorted as Parquet (the tables of `stored`). The manifest, replaced as a whole, says which files count. What a line was
//! taken for is in the [`LoadReport`]; nothing is skipped in silence.
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
mod ids;
mod column;
mod table;
mod quote;
mod hole;
mod stream;
mod connection;
mod digest;
mod stored;
mod manifest;
pub(crate) mod ordered;
mod order;
mod write;
mod rewrite;
mod wanted;
mod statistics;
mod group;
mod read;
mod stage;
mod news;
mod load;
mod folder;
mod parts;
mod update;
mod store;
mod lakes;

pub use error::Error;
pub use lakes::Lakes;
pub(crate) use lakes::{above, below, quoted};
pub use report::{Counts, Example, LoadReport, Outcome, SegmentReport};
pub use store::{Lake, Options, Progress};
pub(crate) use wanted::{ALWAYS, Frames, Wanted};
