//! Questions over a log folder, answered by an embedded DuckDB.
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
//! One question is one file, with its SQL under `sql/`. Every answer is computed from spans, the
//! times in which a book is known to be right, and names the holes it crosses.

mod error;
mod nanos;
mod database;
mod replay;
mod holes;
mod book;
mod spread;
mod vwap;
mod imbalance;
mod markets;
mod gaps;
mod export;

use std::{cell::RefCell, path::Path};

use duckdb::{Connection, OptionalExt, arrow::record_batch::RecordBatch};

use crate::lake::{LoadReport, Loader};

pub use book::{MarketBook, MessageName, Status};
pub use duckdb::arrow;
pub use error::Error;
pub use export::{Existing, Exported, Table};
pub use gaps::GapRow;
pub use holes::{Answer, Hole};
pub use imbalance::ImbalanceBar;
pub use markets::MarketRow;
pub use nanos::{Nanos, Range};

pub use spread::SpreadBar;
pub use vwap::VwapBar;

use book::Wanted;
use holes::Of;

/// The most names an error suggests.
const SUGGESTIONS: usize = 3;

/// An in-memory database over log folders, and the questions to ask it.
///
/// Not shared between threads; open one a thread.
pub struct Analyzer {
    connection: Connection,
    loader: RefCell<Loader>,
    report: RefCell<LoadReport>,
}

impl Analyzer {
    /// Opens an empty analyzer. It reads and writes no file of its own and no network.
    ///
    /// # Errors
    /// [`Error::Database`] where DuckDB cannot be opened.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            connection: database::open()?,
            loader: RefCell::default(),
            report: RefCell::default(),
        })
    }

    /// Loads a log folder, or one file of it. A second folder adds to the first; a file met again
    /// is not read twice. Says what every line was taken for.
    ///
    /// # Errors
    /// [`Error::Load`] where the folder is not there. A damaged file is no error: it is read up to
    /// the damage, which the report names.
    pub fn load_logs(&self, folder: impl AsRef<Path>) -> Result<LoadReport, Error> {
        let folder = folder.as_ref();
        let report = database::load(&self.connection, &mut self.loader.borrow_mut(), folder)?;
        self.report.borrow_mut().merge(report.clone());
        Ok(report)
    }

    /// What all loads so far have found.
    #[must_use]
    pub fn report(&self) -> LoadReport {
        self.report.borrow().clone()
    }

    /// Rebuilds the newest order book of a market that is on the tape.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::NoBook`].
    pub fn reconstruct_book(&self, ticker: &str) -> Result<MarketBook, Error> {
        self.reconstruct(ticker, Wanted::Newest)
    }

    /// Rebuilds the order book of a market as it stood at an instant, ns since the epoch; frames
    /// received at that very instant are in it.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::NoBook`], and [`Error::TooEarly`] before the market's
    /// first snapshot.
    pub fn reconstruct_book_at(&self, ticker: &str, at_ns: i64) -> Result<MarketBook, Error> {
        self.reconstruct(ticker, Wanted::At(at_ns))
    }

    /// Rebuilds the order book of a market as it stood after a frame of its subscription, on the
    /// newest stream that has one of this number.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::NoBook`], [`Error::NoSuchNumber`].
    pub fn reconstruct_book_at_seq(&self, ticker: &str, seq: i64) -> Result<MarketBook, Error> {
        self.reconstruct(ticker, Wanted::Seq(seq))
    }

    /// Rebuilds the order book of a market as it stood after one message, which its name tells from
    /// all others.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::NoBook`], [`Error::NoSuchNumber`].
    pub fn reconstruct_book_after(
        &self,
        ticker: &str,
        message: &MessageName,
    ) -> Result<MarketBook, Error> {
        self.reconstruct(ticker, Wanted::After(message))
    }

    /// The quoted spread of a market, averaged over time, in bars of `every_ns` (`None`: one bar).
    ///
    /// Definition: the time-weighted mean of best ask less best bid, over time in which the book is
    /// known and has both sides.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`].
    pub fn spread(
        &self,
        ticker: &str,
        range: Range,
        every_ns: Option<i64>,
    ) -> Result<Answer<SpreadBar>, Error> {
        self.answer(ticker, range, Of::Book, |market| {
            spread::spread(&self.connection, market, range, every_ns)
        })
    }

    /// The volume-weighted average price of a market's trades in bars of `every_ns` (`None`: one
    /// bar), block trades apart.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`].
    pub fn vwap(
        &self,
        ticker: &str,
        range: Range,
        every_ns: Option<i64>,
    ) -> Result<Answer<VwapBar>, Error> {
        self.answer(ticker, range, Of::Trades, |market| {
            vwap::vwap(&self.connection, market, range, every_ns)
        })
    }

    /// The imbalance of a market's book over the best `depth` levels of each side, in bars of
    /// `every_ns` (`None`: one bar).
    ///
    /// # Errors
    /// [`Error::UnknownTicker`].
    pub fn imbalance(
        &self,
        ticker: &str,
        range: Range,
        every_ns: Option<i64>,
        depth: usize,
    ) -> Result<Answer<ImbalanceBar>, Error> {
        self.answer(ticker, range, Of::Book, |market| {
            imbalance::imbalance(&self.connection, market, range, every_ns, depth)
        })
    }

    /// What is recorded of each market, by ticker.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn markets(&self) -> Result<Vec<MarketRow>, Error> {
        markets::markets(&self.connection)
    }

    /// Every hole of the archive, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn gaps(&self) -> Result<Vec<GapRow>, Error> {
        gaps::gaps(&self.connection)
    }

    /// Writes the book events of a market to a Parquet file: every level change, exact, in order.
    ///
    /// An existing file is overwritten. See [`Self::export`] for other tables.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::Write`].
    pub fn export_to_parquet(
        &self,
        ticker: &str,
        path: impl AsRef<Path>,
    ) -> Result<Exported, Error> {
        self.export(ticker, Table::BookEvents, path, Existing::Overwrite)
    }

    /// Writes the rows that a table has of a market to a Parquet file, under a temporary name
    /// first.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::Exists`], [`Error::Write`].
    pub fn export(
        &self,
        ticker: &str,
        table: Table,
        path: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<Exported, Error> {
        let (_, ticker) = self.market(ticker)?;
        export::one(&self.connection, &ticker, table, path.as_ref(), existing)
    }

    /// Writes tables whole, as `table/date=YYYY-MM-DD/series=S/*.parquet` under a new folder.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Write`].
    pub fn export_all(
        &self,
        tables: &[Table],
        folder: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<Vec<Exported>, Error> {
        export::all(&self.connection, tables, folder.as_ref(), existing)
    }

    fn answer<Row>(
        &self,
        ticker: &str,
        range: Range,
        of: Of,
        ask: impl FnOnce((&str, i64)) -> Result<Vec<Row>, Error>,
    ) -> Result<Answer<Row>, Error> {
        let (market, ticker) = self.market(ticker)?;
        let rows = ask((&ticker, market))?;
        let holes = holes::holes(&self.connection, (&ticker, market), range, of)?;
        Ok(Answer { rows, holes })
    }

    /// Runs any SQL over the views.
    ///
    /// # Errors
    /// [`Error::Database`] with DuckDB's own words.
    pub fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, Error> {
        let fail = database::failed("run the query");
        let mut statement = self.connection.prepare(sql).map_err(&fail)?;
        let batches = statement.query_arrow([]).map_err(&fail)?;
        Ok(batches.collect())
    }

    fn reconstruct(&self, ticker: &str, wanted: Wanted<'_>) -> Result<MarketBook, Error> {
        let (market, ticker) = self.market(ticker)?;
        book::reconstruct(&self.connection, &ticker, market, wanted)
    }

    /// The number and exact name of a market; lower case is accepted.
    fn market(&self, ticker: &str) -> Result<(i64, String), Error> {
        let fail = database::failed("look up a market");
        let wanted = ticker.trim();
        for name in [wanted.to_owned(), wanted.to_ascii_uppercase()] {
            let sql = "SELECT market::BIGINT FROM lake.market WHERE ticker = $1";
            let found = self.connection.query_row(sql, [&name], |row| row.get(0)).optional();
            if let Some(market) = found.map_err(&fail)? {
                return Ok((market, name));
            }
        }
        let mut statement =
            self.connection.prepare("SELECT ticker FROM lake.market").map_err(&fail)?;
        let names = statement.query_map([], |row| row.get::<_, String>(0));
        let names: Vec<String> = names.and_then(Iterator::collect).map_err(&fail)?;
        Err(Error::UnknownTicker { ticker: wanted.to_owned(), near: near(wanted, names) })
    }
}

/// The names most like one that is not there: within a third of its length, or beginning with it.
fn near(wanted: &str, names: Vec<String>) -> Vec<String> {
    let wanted = wanted.to_ascii_uppercase();
    let limit = wanted.len().div_ceil(3);
    let mut close: Vec<_> = names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name), name))
        .filter(|(distance, name)| {
            *distance <= limit || (!wanted.is_empty() && name.starts_with(&wanted))
        })
        .collect();
    close.sort();
    close.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect()
}
