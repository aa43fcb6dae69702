//! Questions over log folders, answered from their lakes.
//!
//! ```no_run
//! use kalshi_orderbook::analysis::Analyzer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let analyzer = Analyzer::new()?;
//! analyzer.load_logs("./logs")?;
//! let book = analyzer.reconstruct_book("KXNFL-26JAN12-HOUPIT")?;
//! println!("{:?} {:?} {}", book.book.yes_bid(), book.book.yes_ask(), book.status.as_str());
//! # Ok(())
//! # }
//! ```
//!
//! One question is one file. Questions about a market read its rows straight from the lake;
//! questions in SQL, and those about everything, are DuckDB's, with the SQL under `sql/`. Every
//! answer is computed from spans, the times in which a book is known to be right, and names the
//! holes it crosses.

mod error;
mod nanos;
mod near;
mod bars;
mod rows;
mod interrupt;
mod source;
mod market;
mod database;
mod statement;
mod replay;
mod holes;
mod book;
mod spread;
mod vwap;
mod imbalance;
mod markets;
mod coverage;
mod gaps;
mod export;
mod crossed;
mod beneath;
mod analyzer;

pub use ::arrow;
pub use analyzer::Analyzer;
pub use beneath::Beneath;
pub use book::{MarketBook, MessageName, Status};
pub use coverage::CoverageRow;
pub use database::Options;
pub use error::Error;
pub use export::{Existing, Exported, FileFormat, Selection, Table};
pub use gaps::GapRow;
pub use holes::{Answer, Hole};
pub use imbalance::ImbalanceBar;
pub use interrupt::Interrupter;
pub use markets::MarketRow;
pub use nanos::{Nanos, Range};
pub use spread::SpreadBar;
pub use vwap::VwapBar;
