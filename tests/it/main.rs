//! The one integration binary: a module a subject.

#![expect(clippy::unwrap_used, reason = "tests; each failure names its place")]
#![cfg_attr(
    feature = "duckdb",
    expect(
        clippy::indexing_slicing,
        clippy::print_stderr,
        reason = "tests; figures, and why one is skipped, go to standard error"
    )
)]

mod tidy;
mod stage;
mod ingest;
mod faults;
mod crash;
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
