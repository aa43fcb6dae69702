//! What is loaded, and every question that can be asked of it.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeSet,
    path::Path,
};

use arrow::record_batch::RecordBatch;
use duckdb::Connection;

use super::{
    Answer, Beneath, CoverageRow, Error, Existing, Exported, FileFormat, GapRow, Hole,
    ImbalanceBar, Interrupter, MarketBook, MarketRow, MessageName, Options, Range, Selection,
    SpreadBar, Table, VwapBar, beneath,
    book::{self, Wanted},
    coverage, crossed, database, export, gaps,
    holes::{self, Of},
    imbalance,
    market::Market,
    markets,
    near::near,
    source::{self, Source},
    spread, statement, vwap,
};
use crate::lake::{self, Lake, Lakes, LoadReport, Progress};

/// Log folders, and the questions to ask of them.
///
/// Not shared between threads; open one a thread.
pub struct Analyzer {
    /// Opened when something is asked of it.
    connection: OnceCell<Connection>,
    options: Options,
    shown: Cell<Shown>,
    lakes: RefCell<Lakes>,
    report: RefCell<LoadReport>,
    interrupter: Interrupter,
}

impl Analyzer {
    /// Opens an empty analyzer. It reads and writes no file of its own and no network.
    ///
    /// # Errors
    /// None today; DuckDB is opened when it is first needed.
    pub fn new() -> Result<Self, Error> {
        Ok(Self::with(Options::default()))
    }

    /// Opens an empty analyzer that uses no more of the machine than it is allowed to.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self {
            connection: OnceCell::new(),
            options,
            interrupter: Interrupter::default(),
            shown: Cell::new(Shown::Nothing),
            lakes: RefCell::default(),
            report: RefCell::default(),
        }
    }

    /// Opens a log folder, or one file of it, and digests what is new into its lake, the folder
    /// `lake` in it. A second folder adds to the first; sessions that both have count once. Says
    /// what every line that was read now was taken for.
    ///
    /// # Errors
    /// [`Error::Load`] where the folder is not there. A damaged file is no error: it is read up to
    /// the damage, which the report names.
    pub fn load_logs(&self, folder: impl AsRef<Path>) -> Result<LoadReport, Error> {
        self.load(folder.as_ref(), None, &|_, _| {})
    }

    /// Like [`Self::load_logs`], with the lake in another folder and a look at the progress: bytes
    /// of text read, of about so many.
    ///
    /// # Errors
    /// As [`Self::load_logs`].
    pub fn load(
        &self,
        folder: &Path,
        lake: Option<&Path>,
        progress: Progress<'_>,
    ) -> Result<LoadReport, Error> {
        let fail = |source| Error::Load { path: folder.to_owned(), source };
        let threads = self.options.threads;
        let options = lake::Options { folder: lake, threads, progress };
        let (lake, report) = Lake::open(folder, options).map_err(fail)?;
        self.lakes.borrow_mut().add(lake);
        self.shown.set(Shown::Nothing);
        self.report.borrow_mut().merge(report.clone());
        Ok(report)
    }

    /// What all loads so far have found.
    #[must_use]
    pub fn report(&self) -> LoadReport {
        self.report.borrow().clone()
    }

    /// Whether there is any recording in what was loaded.
    #[must_use]
    pub fn has_recordings(&self) -> bool {
        self.lakes.borrow().iter().any(Lake::has_sessions)
    }

    /// Whether the files of what was loaded are all there and as they were written; else loading it
    /// once more builds them again.
    #[must_use]
    pub fn has_whole_lakes(&self) -> bool {
        self.lakes.borrow().iter().all(Lake::is_whole)
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
        self.answer(ticker, range, Of::Book, |market| spread::spread(market, range, every_ns))
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
        self.answer(ticker, range, Of::Trades, |market| vwap::vwap(market, range, every_ns))
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
            imbalance::imbalance(market, range, every_ns, depth)
        })
    }

    /// What is recorded of each market, by ticker.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn markets(&self) -> Result<Vec<MarketRow>, Error> {
        markets::markets(self.views()?)
    }

    /// How much of each hour the book of each market is known, by ticker and hour (UTC).
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn coverage(&self) -> Result<Vec<CoverageRow>, Error> {
        coverage::coverage(self.views()?)
    }

    /// Every hole of the archive in which messages were lost, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn gaps(&self) -> Result<Vec<GapRow>, Error> {
        gaps::gaps(self.views()?)
    }

    /// Writes the book events of a market to a Parquet file: every level change, exact, in order.
    ///
    /// An existing file is overwritten. See [`Self::export`] for other tables.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::Suffix`] where the name is not one of a Parquet file,
    /// [`Error::Write`].
    pub fn export_to_parquet(
        &self,
        ticker: &str,
        path: impl AsRef<Path>,
    ) -> Result<Exported, Error> {
        let path = path.as_ref();
        if FileFormat::of(path)? != FileFormat::Parquet {
            return Err(Error::Suffix(path.to_owned()));
        }
        self.export(ticker, Table::BookEvents, path, Existing::Overwrite)
    }

    /// Writes rows of a table to a file, under a temporary name first; the suffix of its name says
    /// how (see [`FileFormat`]). A ticker alone is a selection. [`Self::crossed`] tells what is
    /// missing in it.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::NoMatch`], [`Error::Suffix`], [`Error::Exists`],
    /// [`Error::Write`].
    pub fn export(
        &self,
        selection: impl Into<Selection>,
        table: Table,
        path: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<Exported, Error> {
        let rows = self.selected(&selection.into(), table)?;
        let (views, path) = (self.views()?, path.as_ref());
        export::one(views, &self.interrupter, table, &rows, path, existing)
    }

    /// Writes tables as Parquet under a new folder: `table/date=YYYY-MM-DD/series=S/*.parquet`, and
    /// those that do not tell of frames as one file each.
    ///
    /// # Errors
    /// As [`Self::export`].
    pub fn export_all(
        &self,
        tables: &[Table],
        folder: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<Vec<Exported>, Error> {
        self.export_folder(&Selection::default(), tables, folder, existing)
    }

    /// Like [`Self::export_all`], with some of the rows.
    ///
    /// # Errors
    /// As [`Self::export`].
    pub fn export_folder(
        &self,
        selection: &Selection,
        tables: &[Table],
        folder: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<Vec<Exported>, Error> {
        let rows = |table: &Table| Ok((*table, self.selected(selection, *table)?));
        let tables: Vec<_> = tables.iter().map(rows).collect::<Result<_, Error>>()?;
        export::all(self.views()?, &self.interrupter, &tables, folder.as_ref(), existing)
    }

    /// The database, with what the questions of this program need. Views take milliseconds each to
    /// make, so none is made before it is needed.
    fn tables(&self) -> Result<&Connection, Error> {
        let connection = match self.connection.get() {
            Some(connection) => connection,
            None => {
                let opened = database::open(self.options, &self.interrupter)?;
                self.connection.get_or_init(|| opened)
            }
        };
        if self.shown.get() == Shown::Nothing {
            database::show(connection, &self.lakes.borrow())?;
            self.shown.set(Shown::Tables);
        }
        Ok(connection)
    }

    /// The database, with all that people see of it.
    fn views(&self) -> Result<&Connection, Error> {
        let connection = self.tables()?;
        if self.shown.get() != Shown::Views {
            database::show_views(connection)?;
            self.shown.set(Shown::Views);
        }
        Ok(connection)
    }

    fn answer<Row>(
        &self,
        ticker: &str,
        range: Range,
        of: Of,
        ask: impl FnOnce(&Market<'_>) -> Result<Vec<Row>, Error>,
    ) -> Result<Answer<Row>, Error> {
        self.of_market(ticker, |market| {
            Ok(Answer { rows: ask(market)?, holes: holes::holes(market, range, of)? })
        })
    }

    /// Runs a query in SQL over the views. It reads only; `docs/sql.md` says what there is.
    ///
    /// At least one batch comes back, so that the columns are known where there are no rows.
    ///
    /// # Errors
    /// [`Error::Refused`] where the text is more than one query that reads, [`Error::NoFunction`],
    /// [`Error::Syntax`], and [`Error::Database`] with DuckDB's own words.
    pub fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, Error> {
        let fail = database::failed("run the query");
        let reading = self.reading(sql)?;
        let mut statement = self.views()?.prepare(&reading.sql).map_err(&fail)?;
        let rows = statement.query_arrow([]).map_err(&fail)?;
        let schema = rows.get_schema();
        let mut batches: Vec<RecordBatch> = rows.collect();
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(schema));
        }
        Ok(batches)
    }

    /// What is missing in what a query reads: nothing where it reads nothing that tells of messages,
    /// or what tells of holes, too.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn beneath(&self, sql: &str) -> Result<Beneath, Error> {
        let reading = self.reading(sql)?;
        let mut beneath = Beneath::default();
        let is_plan = reading.table.is_none();
        if is_plan || reading.named.tells_of_holes() {
            return Ok(beneath);
        }
        let mut of_all: Vec<Of> = reading.named.of().collect();
        for (of, ticker) in reading.named.asked() {
            match ticker {
                Some(ticker) => beneath.of_markets.extend(
                    self.of_market(ticker, |market| holes::holes(market, Range::default(), of))?,
                ),
                None => of_all.push(of),
            }
        }
        (beneath.gaps, beneath.pauses) = beneath::beneath(self.tables()?, &of_all)?;
        let holes = &mut beneath.of_markets;
        holes.sort_by(|a, b| (a.from, &a.ticker, a.to).cmp(&(b.from, &b.ticker, b.to)));
        holes.dedup();
        Ok(beneath)
    }

    fn reconstruct(&self, ticker: &str, wanted: Wanted<'_>) -> Result<MarketBook, Error> {
        self.of_market(ticker, |market| book::reconstruct(market, wanted))
    }

    /// Asks something of a market; its name may be in lower case.
    fn of_market<T>(
        &self,
        ticker: &str,
        ask: impl FnOnce(&Market<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (lakes, wanted) = (self.lakes.borrow(), ticker.trim());
        let (threads, going) = (self.options.threads(), self.interrupter.begin());
        for ticker in [wanted.to_owned(), wanted.to_ascii_uppercase()] {
            let source = Source { lakes: &lakes, threads, going: going.clone(), ticker };
            if let Some(market) = Market::find(source)? {
                return ask(&market);
            }
        }
        Err(unknown(wanted, source::tickers(&lakes)?))
    }

    /// Writes the result of a query to a file, under a temporary name first; the suffix of its name
    /// says how (see [`FileFormat`]). Returns the number of rows.
    ///
    /// # Errors
    /// As [`Self::query`] and [`Self::export`].
    pub fn query_to_file(
        &self,
        sql: &str,
        path: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<u64, Error> {
        let reading = self.reading(sql)?;
        let table = reading.table.ok_or_else(|| Error::Refused("`EXPLAIN` to a file".into()))?;
        let rows = format!("FROM {table}");
        export::file(self.views()?, &self.interrupter, &rows, path.as_ref(), existing)
    }

    /// The holes that an export of some rows crosses, oldest first: none of tables that do not tell
    /// of frames.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`], [`Error::NoMatch`].
    pub fn crossed(&self, selection: &Selection, table: Table) -> Result<Vec<Hole>, Error> {
        let Some(of) = table.of() else { return Ok(Vec::new()) };
        let range = selection.range;
        if let Some(ticker) = selection.markets.as_ref().filter(|markets| !is_glob(markets)) {
            return self.of_market(ticker, |market| holes::holes(market, range, of));
        }
        crossed::crossed(self.tables()?, of, self.chosen(selection)?.as_deref(), range)
    }

    /// The recorded markets that a ticker or a glob (`*`, `?`) stands for, by name.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`] of a ticker, [`Error::NoMatch`] of a glob.
    pub fn tickers(&self, wanted: &str) -> Result<Vec<String>, Error> {
        if !is_glob(wanted) {
            return Ok(vec![self.of_market(wanted, |market| Ok(market.ticker().to_owned()))?]);
        }
        let wanted = wanted.trim();
        let patterns = [wanted.to_owned(), wanted.to_ascii_uppercase()]
            .map(|pattern| glob::Pattern::new(&pattern).unwrap_or_default());
        let mut names = source::tickers(&self.lakes.borrow())?;
        names.retain(|name| patterns.iter().any(|pattern| pattern.matches(name)));
        if names.is_empty() { Err(Error::NoMatch(wanted.to_owned())) } else { Ok(names) }
    }

    /// How many bars of a length the recording of a market has in a range, at most.
    ///
    /// # Errors
    /// [`Error::UnknownTicker`].
    pub fn bars(&self, ticker: &str, range: Range, every_ns: i64) -> Result<u64, Error> {
        let (first, last) = self.of_market(ticker, |market| Ok(market.recorded()))?;
        let ns = last.min(range.end()).saturating_sub(first.max(range.start())).max(0);
        Ok(ns.unsigned_abs() / every_ns.unsigned_abs().max(1) + 1)
    }

    /// What stops this analyzer from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// A query that only reads, and the views ready for it.
    fn reading(&self, sql: &str) -> Result<statement::Reading, Error> {
        let views = self.views()?;
        let reading = statement::reading(views, sql)?;
        let asked: BTreeSet<_> =
            reading.named.asked.iter().filter_map(|(_, of)| of.clone()).collect();
        if !asked.is_empty() {
            let known: BTreeSet<_> = source::tickers(&self.lakes.borrow())?.into_iter().collect();
            if let Some(ticker) = asked.difference(&known).next() {
                return Err(unknown(ticker, known.iter().cloned()));
            }
        }
        // What only these tell takes milliseconds to write down.
        let lower = sql.to_ascii_lowercase();
        if lower.contains("duckdb_") || lower.contains("information_schema") {
            database::comment(views)?;
        }
        Ok(reading)
    }

    fn selected(&self, selection: &Selection, table: Table) -> Result<String, Error> {
        Ok(export::rows(table, self.chosen(selection)?.as_deref(), selection.range))
    }

    /// The markets of a selection; none where all are.
    fn chosen(&self, selection: &Selection) -> Result<Option<Vec<String>>, Error> {
        match selection.markets.as_deref() {
            None | Some("*") => Ok(None),
            Some(wanted) => self.tickers(wanted).map(Some),
        }
    }
}

fn unknown(ticker: &str, known: impl IntoIterator<Item = String>) -> Error {
    let near = near(&ticker.to_ascii_uppercase(), known);
    Error::UnknownTicker { ticker: ticker.to_owned(), near }
}

fn is_glob(ticker: &str) -> bool {
    ticker.contains(['*', '?'])
}

/// How much of the lakes the database shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Tables,
    Views,
}
