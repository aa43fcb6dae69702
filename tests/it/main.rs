//! The one integration binary: a module a subject.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; each failure names its place; figures, and why one is skipped, go to standard error"
)]
#![cfg_attr(
    feature = "duckdb",
    expect(clippy::indexing_slicing, reason = "tests; each failure names its place")
)]

mod tidy;
mod stage;
mod ingest;
#[cfg(feature = "duckdb")]
mod lake;
mod faults;
mod crash;
mod disk;
#[cfg(target_os = "linux")]
mod broken_disk;
mod soak;
mod corpus;
mod secrets;
#[cfg(feature = "duckdb")]
mod tape;
#[cfg(feature = "duckdb")]
mod digest;
#[cfg(feature = "duckdb")]
mod analyze;
#[cfg(feature = "duckdb")]
mod real;
#[cfg(feature = "duckdb")]
mod cli;
#[cfg(feature = "duckdb")]
mod sql;
#[cfg(feature = "duckdb")]
mod verify;
#[cfg(feature = "duckdb")]
mod readme;
#[cfg(feature = "duckdb")]
mod naive;
#[cfg(feature = "duckdb")]
mod compare;
#[cfg(feature = "duckdb")]
mod real_data;
#[cfg(feature = "duckdb")]
mod truth;
#[cfg(feature = "duckdb")]
mod story;
#[cfg(feature = "duckdb")]
mod fault_cases;
#[cfg(feature = "duckdb")]
mod differential;
#[cfg(feature = "duckdb")]
mod strange;
#[cfg(feature = "duckdb")]
mod two_ways;
