//! Recorded rows as Parquet, for any program that reads it.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use duckdb::Connection;

use super::{Error, database};

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
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 5] =
        [Self::BookEvents, Self::Bbo, Self::Trades, Self::TickerData, Self::Lifecycle];

    /// The view's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BookEvents => "book_events",
            Self::Bbo => "bbo",
            Self::Trades => "trades",
            Self::TickerData => "ticker_data",
            Self::Lifecycle => "lifecycle",
        }
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

pub(super) fn one(
    connection: &Connection,
    ticker: &str,
    table: Table,
    path: &Path,
    existing: Existing,
) -> Result<Exported, Error> {
    if path.is_dir() {
        return Err(Error::NotAnExport(path.to_owned()));
    }
    let temporary = begin(path, existing)?;
    check_replaceable(path)?;
    let sql = format!(
        "COPY (FROM {} WHERE ticker = {} ORDER BY {}) TO {} (FORMAT parquet, COMPRESSION zstd)",
        table.as_str(),
        quoted(ticker),
        order(table),
        quoted(&temporary.to_string_lossy()),
    );
    let rows = copy(connection, &sql, &temporary)?;
    end(&temporary, path)?;
    Ok(Exported { table, path: path.to_owned(), rows })
}

/// Each table becomes a folder of its own, and only that is replaced.
pub(super) fn all(
    connection: &Connection,
    tables: &[Table],
    folder: &Path,
    existing: Existing,
) -> Result<Vec<Exported>, Error> {
    if existing == Existing::Keep && folder.exists() {
        return Err(Error::Exists(folder.to_owned()));
    }
    for table in tables {
        check_replaceable(&folder.join(table.as_str()))?;
    }
    fs::create_dir_all(folder).map_err(|e| write("create folder", folder, e))?;
    let mut exported = Vec::new();
    for &table in tables {
        let path = folder.join(table.as_str());
        let temporary = begin(&path, existing)?;
        fs::create_dir_all(&temporary).map_err(|e| write("create folder", &temporary, e))?;
        let sql = format!(
            "COPY (SELECT *, CAST(ts AS DATE) AS date FROM {} ORDER BY {})
             TO {} (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (date, series), WRITE_PARTITION_COLUMNS false)",
            table.as_str(),
            order(table),
            quoted(&temporary.to_string_lossy()),
        );
        let rows = copy(connection, &sql, &temporary)?;
        end(&temporary, &path)?;
        exported.push(Exported { table, path, rows });
    }
    Ok(exported)
}

/// Only an earlier export may be replaced: a Parquet file, or a folder of nothing else.
fn check_replaceable(path: &Path) -> Result<(), Error> {
    if path.exists() && !is_export(path) {
        return Err(Error::NotAnExport(path.to_owned()));
    }
    Ok(())
}

fn is_export(path: &Path) -> bool {
    if path.is_dir() {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        return entries.is_ok_and(|entries| {
            entries.iter().all(|entry| {
                let inside = entry.path();
                let partition = entry.file_name().to_string_lossy().contains('=');
                (partition || inside.is_file()) && is_export(&inside)
            })
        });
    }
    let mut magic = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"PAR1"
}

/// Market, then time, then the order of the stream; the rest makes the order a full one.
fn order(table: Table) -> &'static str {
    match table {
        Table::BookEvents => "ticker, ts, session, conn, sid, seq, side, price DESC",
        Table::Bbo => "ticker, ts, session, conn, sid, seq, ts_until",
        Table::Trades => "ticker, ts, session, conn, sid, seq, trade_id",
        Table::TickerData => "ticker, ts, session, conn, sid, ts_event, volume",
        Table::Lifecycle => "ticker, ts, session, conn, sid, seq, event_type",
    }
}

/// Where to write before the name is taken: beside it, so that the rename stays on one disk.
fn begin(path: &Path, existing: Existing) -> Result<PathBuf, Error> {
    if existing == Existing::Keep && path.exists() {
        return Err(Error::Exists(path.to_owned()));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(name))
}

fn end(temporary: &Path, path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        fs::remove_dir_all(path).map_err(|e| write("replace folder", path, e))?;
    }
    fs::rename(temporary, path).map_err(|e| {
        remove(temporary);
        write("rename the export to", path, e)
    })
}

fn copy(connection: &Connection, sql: &str, temporary: &Path) -> Result<u64, Error> {
    let rows = connection.query_row(sql, [], |row| row.get(0)).map_err(|source| {
        remove(temporary);
        database::failed(&format!("write Parquet to `{}`", temporary.display()))(source)
    })?;
    Ok(rows)
}

/// Leaves nothing half-done behind; what cannot be removed is not worth a second error.
fn remove(temporary: &Path) {
    if temporary.is_dir() {
        drop(fs::remove_dir_all(temporary));
    } else {
        drop(fs::remove_file(temporary));
    }
}

fn write(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Write { action, path: path.to_owned(), source }
}

/// A text as an SQL literal: `COPY` takes no parameters.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
