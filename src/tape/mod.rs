//! The raw log on disk: what the exchange sent, byte for byte, and our own events between.
//!
//! Format 1, defined in `docs/log-format.md`. One JSON object a line, in day folders:
//!
//! ```text
//! logs/2026-11-22/20261122T144343Z-3f9a1c07be52-0000.jsonl          being written
//! logs/2026-11-22/20261122T144343Z-3f9a1c07be52-0000.sealed.jsonl   whole, ends in `closed`
//! logs/2026-11-22/20261122T144343Z-3f9a1c07be52-0000.jsonl.zst      the same, compressed
//! ```
//!
//! A file is created new and never reopened for writing. A torn last line is ignored and counted.
//! Also read: bare frames without a wrapper, and wrappers of other recorders.

mod record;
mod event;
mod segment;
mod seal;
mod compress;
mod archive;
mod leftovers;
mod reader;
mod verify;
mod error;

#[cfg(feature = "duckdb")]
pub(crate) use archive::modified_ns;
pub use archive::{Archive, Layout, Segment};
pub use compress::compress;
pub use error::Error;
pub use event::{Event, SessionInfo};
pub use leftovers::Leftovers;
pub use reader::{Line, Reader};
pub use record::{Body, Record, RecordError, write_event, write_frame};
pub use seal::Seal;
pub use segment::{SegmentSync, SegmentWriter, Stamp};
pub use verify::{Hole, Proof, SegmentProof, SegmentState, verify};

/// The tape format that this library writes.
pub const FORMAT: u32 = 1;
