//! The one integration binary: a module a subject.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests; each failure names its place"
)]

mod stage;
mod ingest;
mod faults;
