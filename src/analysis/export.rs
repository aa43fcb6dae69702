//! Recorded rows, and the results of queries, as files for any program that reads them.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use duckdb::Connection;

use super::{Error, Interrupter, Range, database, holes::Of, interrupt::Unfinished};
use database::quoted;

/// What can be exported: the views of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names of the views")]
pub enum Table {
    BookEvents,
    Bbo,
    Trades,
    TickerData,
    Lifecycle,
    Markets,
    Gaps,
    Coverage,
    Spans,
    Sessions,
    Oddities,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 11] = [
        Self::BookEvents,
        Self::Bbo,
        Self::Trades,
        Self::TickerData,
        Self::Lifecycle,
        Self::Markets,
        Self::Gaps,
        Self::Coverage,
        Self::Spans,
        Self::Sessions,
        Self::Oddities,
    ];

    /// The view's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BookEvents => "book_events",
            Self::Bbo => "bbo",
            Self::Trades => "trades",
            Self::TickerData => "ticker_data",
            Self::Lifecycle => "lifecycle",
            Self::Markets => "markets",
            Self::Gaps => "gaps",
            Self::Coverage => "coverage",
            Self::Spans => "spans",
            Self::Sessions => "sessions",
            Self::Oddities => "oddities",
        }
    }

    /// Market, then time, then the order of the stream; the rest makes the order a full one.
    const fn order(self) -> &'static str {
        match self {
            Self::BookEvents => "ticker, ts, session, conn, sid, seq, side, price DESC",
            Self::Bbo => "ticker, ts, session, conn, sid, seq, ts_until",
            Self::Trades => "ticker, ts, session, conn, sid, seq, trade_id",
            Self::TickerData => "ticker, ts, session, conn, sid, ts_event, volume",
            Self::Lifecycle => "ticker, ts, session, conn, sid, seq, event_type",
            Self::Markets => "ticker",
            Self::Gaps => "ts_from, session, conn, sid, expected",
            Self::Coverage => "ticker, hour",
            Self::Spans => "ticker, ts_from, session, conn, sid",
            Self::Sessions => "first_ts, session",
            Self::Oddities => "session, kind",
        }
    }

    /// What its rows are made of, where they tell of frames.
    pub(super) const fn of(self) -> Option<Of> {
        match self {
            Self::BookEvents | Self::Bbo => Some(Of::Book),
            Self::Trades => Some(Of::Trades),
            Self::TickerData => Some(Of::Tickers),
            Self::Lifecycle => Some(Of::Lifecycle),
            Self::Markets
            | Self::Gaps
            | Self::Coverage
            | Self::Spans
            | Self::Sessions
            | Self::Oddities => None,
        }
    }

    /// Frames are many, and lie in folders by day and series; the rest is one file.
    const fn is_of_frames(self) -> bool {
        self.of().is_some()
    }

    /// When a row begins, and the condition on its end: what lasts is chosen where that and the
    /// range have a moment in common.
    const fn time(self) -> [&'static str; 2] {
        match self {
            Self::BookEvents | Self::Bbo | Self::Trades | Self::TickerData | Self::Lifecycle => {
                ["ts", "ts >="]
            }
            // Oddities are of sessions.
            Self::Markets | Self::Sessions | Self::Oddities => ["first_ts", "last_ts >="],
            // One that leaves no book unsure is over with the next message; else one that was never
            // repaired lasts as long as its session.
            Self::Gaps => [
                "ts_from",
                "coalesce(ts_repaired,
                          CASE WHEN markets = 0 AND kind IN ('sequence', 'unreadable') THEN ts_found
                               ELSE (SELECT max(s.last_ts) FROM sessions s
                                     WHERE s.session = gaps.session) END) >=",
            ],
            Self::Coverage => ["hour", "hour + INTERVAL 1 hour >"],
            Self::Spans => ["ts_from", "ts_to >"],
        }
    }
}

/// Which rows of a table: of which markets, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// A ticker, or a glob with `*` and `?`; none: all markets.
    pub markets: Option<String>,
    /// When; `ts` counts, and what lasts is chosen where a part of it is within.
    pub range: Range,
}

impl From<&str> for Selection {
    fn from(markets: &str) -> Self {
        Self { markets: Some(markets.to_owned()), range: Range::default() }
    }
}

/// What to do where the output is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Keep,
    /// Replace it, once the new one is whole.
    Overwrite,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The table.
    pub table: Table,
    /// The file or folder.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileFormat {
    /// `.parquet`, zstd.
    Parquet,
    /// `.csv`, with a header.
    Csv,
    /// `.json`: an array of objects.
    Json,
    /// `.jsonl` or `.ndjson`: an object a line.
    JsonLines,
}

impl FileFormat {
    /// The format that a file's name stands for.
    ///
    /// # Errors
    /// [`Error::Suffix`] where it stands for none.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let suffix = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match suffix.as_str() {
            "parquet" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            _ => Err(Error::Suffix(path.to_owned())),
        }
    }

    /// Times have no zone in the file, as readers then keep their nanoseconds; a note says UTC.
    const fn options(self) -> &'static str {
        match self {
            Self::Parquet => "FORMAT parquet, COMPRESSION zstd, KV_METADATA {time_zone: 'UTC'}",
            Self::Csv => "FORMAT csv, HEADER",
            Self::Json => "FORMAT json, ARRAY true",
            Self::JsonLines => "FORMAT json",
        }
    }

    /// Whether a file that is there looks as if it had been written so.
    fn looks_like(self, path: &Path) -> bool {
        let mut begin = [0; 4];
        let read = fs::File::open(path).and_then(|mut file| file.read(&mut begin));
        match self {
            Self::Parquet => read.is_ok() && begin == *b"PAR1",
            Self::Csv | Self::Json | Self::JsonLines => read.is_ok() && path.is_file(),
        }
    }
}

/// Rows of the chosen markets; `tickers` none: of all.
pub(super) fn rows(table: Table, tickers: Option<&[String]>, range: Range) -> String {
    if table == Table::Oddities {
        let sessions = rows(Table::Sessions, tickers, range);
        return format!("FROM oddities WHERE session IN (SELECT session {sessions})");
    }
    let mut conditions = Vec::new();
    if let Some(tickers) = tickers {
        let names: Vec<String> = tickers.iter().map(|ticker| quoted(ticker)).collect();
        let names = names.join(", ");
        conditions.push(match table {
            // One that makes no book unsure is of every market of its connection.
            Table::Gaps => format!(
                "(list_has_any(tickers, [{names}])
                  OR markets = 0 AND (session, conn) IN (
                      SELECT (session, conn) FROM lake.presence JOIN lake.stream USING (stream)
                      WHERE ticker IN ({names})))"
            ),
            // Those of oddities are chosen above.
            Table::Sessions | Table::Oddities => format!(
                "session IN (SELECT session FROM lake.presence JOIN lake.stream USING (stream)
                             WHERE ticker IN ({names}))"
            ),
            Table::BookEvents
            | Table::Bbo
            | Table::Trades
            | Table::TickerData
            | Table::Lifecycle
            | Table::Markets
            | Table::Coverage
            | Table::Spans => format!("ticker IN ({names})"),
        });
    }
    let [begin, end] = table.time();
    let instant = |ns| format!("make_timestamp_ns({ns})");
    conditions.extend(range.from_ns.map(|from| format!("{end} {}", instant(from))));
    conditions.extend(range.to_ns.map(|to| format!("{begin} < {}", instant(to))));
    let conditions = if conditions.is_empty() { "true".into() } else { conditions.join(" AND ") };
    format!("FROM {} WHERE {conditions}", table.as_str())
}

/// Writes rows to a file, in the format of its name.
pub(super) fn file(
    connection: &Connection,
    interrupter: &Interrupter,
    rows: &str,
    path: &Path,
    existing: Existing,
) -> Result<u64, Error> {
    let format = FileFormat::of(path)?;
    if existing == Existing::Keep && path.exists() {
        return Err(Error::Exists(path.to_owned()));
    }
    if path.exists() && (path.is_dir() || !format.looks_like(path)) {
        return Err(Error::NotAnExport(path.to_owned()));
    }
    let unfinished = Unfinished::begin(temporary(path), interrupter);
    let written = copy(connection, rows, unfinished.path(), format.options())?;
    unfinished.rename(path).map_err(|e| write("rename the export to", path, e))?;
    Ok(written)
}

/// One table to one file.
pub(super) fn one(
    connection: &Connection,
    interrupter: &Interrupter,
    table: Table,
    rows: &str,
    path: &Path,
    existing: Existing,
) -> Result<Exported, Error> {
    let rows = format!("{rows} ORDER BY {}", table.order());
    let rows = file(connection, interrupter, &rows, path, existing)?;
    Ok(Exported { table, path: path.to_owned(), rows })
}

/// Each table becomes a folder of its own, and only that is replaced.
pub(super) fn all(
    connection: &Connection,
    interrupter: &Interrupter,
    tables: &[(Table, String)],
    folder: &Path,
    existing: Existing,
) -> Result<Vec<Exported>, Error> {
    if existing == Existing::Keep && folder.exists() {
        return Err(Error::Exists(folder.to_owned()));
    }
    for (table, _) in tables {
        let path = folder.join(table.as_str());
        if path.exists() && !is_export(&path) {
            return Err(Error::NotAnExport(path));
        }
    }
    fs::create_dir_all(folder).map_err(|e| write("create folder", folder, e))?;
    let mut exported = Vec::new();
    for (table, rows) in tables {
        let (table, order) = (*table, table.order());
        let path = folder.join(table.as_str());
        let unfinished = Unfinished::begin(temporary(&path), interrupter);
        let new = unfinished.path();
        fs::create_dir_all(new).map_err(|e| write("create folder", new, e))?;
        let parquet = FileFormat::Parquet.options();
        let mut written = 0;
        if table.is_of_frames() {
            let rows = format!("SELECT *, CAST(ts AS DATE) AS date {rows} ORDER BY {order}");
            let options =
                format!("{parquet}, PARTITION_BY (date, series), WRITE_PARTITION_COLUMNS false");
            written = copy(connection, &rows, new, &options)?;
        }
        // Also where there are no rows: a file has the columns.
        if written == 0 {
            let file = new.join(format!("{}.parquet", table.as_str()));
            written = copy(connection, &format!("{rows} ORDER BY {order}"), &file, parquet)?;
        }
        unfinished.rename(&path).map_err(|e| write("rename the export to", &path, e))?;
        exported.push(Exported { table, path, rows: written });
    }
    Ok(exported)
}

/// Only an earlier export may be replaced: a folder of Parquet files and nothing else.
fn is_export(path: &Path) -> bool {
    if !path.is_dir() {
        return FileFormat::Parquet.looks_like(path);
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    entries.is_ok_and(|entries| {
        entries.iter().all(|entry| {
            let inside = entry.path();
            let partition = entry.file_name().to_string_lossy().contains('=');
            (partition || inside.is_file()) && is_export(&inside)
        })
    })
}

/// Where to write before the name is taken: beside it, so that the rename stays on one disk.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn copy(connection: &Connection, rows: &str, path: &Path, options: &str) -> Result<u64, Error> {
    let sql = format!("COPY ({rows}) TO {} ({options})", quoted(&path.to_string_lossy()));
    let fail = database::failed(&format!("write `{}`", path.display()));
    match connection.query_row(&sql, [], |row| row.get(0)) {
        // DuckDB makes several statements of a `PIVOT`, and the last does not tell.
        Err(duckdb::Error::QueryReturnedNoRows) => {
            let sql = format!("SELECT count(*) {rows}");
            connection.query_row(&sql, [], |row| row.get(0)).map_err(fail)
        }
        written => written.map_err(fail),
    }
}

fn write(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Write { action, path: path.to_owned(), source }
}
