//! The one integration binary: a module a subject.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod tidy;
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
