//! Several lakes as one, for DuckDB.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::PathBuf,
};

use arrow::datatypes::DataType;
use duckdb::Connection;

use super::{
    Error, Lake,
    manifest::Session,
    stored::{self, Stored},
    table::Spec,
};
use crate::tape::Segment;

/// The lakes of an analysis, in the order they were added.
#[derive(Debug, Default)]
pub struct Lakes {
    lakes: Vec<Lake>,
    /// For each, its sessions that an earlier one has, too.
    twice: Vec<BTreeSet<String>>,
}

/// Numbers of a lake are below this power of two, and those of the next one are above it.
const NUMBERS_BITS: usize = 52;

/// A number of the lake at a place, as a number that is unique in all lakes.
pub(crate) const fn above(place: usize, number: u64) -> u64 {
    number + ((place as u64) << NUMBERS_BITS)
}

/// The place of the lake that such a number is of, and the number in it.
pub(crate) const fn below(number: u64) -> (usize, u64) {
    ((number >> NUMBERS_BITS) as usize, number & ((1 << NUMBERS_BITS) - 1))
}

impl Lakes {
    /// Adds a lake, or what has become of one that is there.
    pub fn add(&mut self, lake: Lake) {
        match self.lakes.iter_mut().find(|known| known.folder() == lake.folder()) {
            Some(known) => *known = lake,
            None => self.lakes.push(lake),
        }
        let earlier = |place| self.lakes.iter().take(place);
        let twice = self.lakes.iter().enumerate();
        let twice =
            twice.map(|(place, lake)| earlier(place).flat_map(|e| lake.shared(e)).collect());
        self.twice = twice.collect();
    }

    /// Each lake, in the order they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lake> {
        self.lakes.iter()
    }

    /// Whether an earlier lake than the one of this place has a session, too: then that one counts.
    pub(crate) fn has_before(&self, place: usize, session: &str) -> bool {
        self.twice.get(place).is_some_and(|twice| twice.contains(session))
    }

    /// Makes a view `lake.TABLE` of each table. A session that several lakes have is taken from the
    /// first. Without any lake the views have their columns and no rows.
    ///
    /// # Errors
    /// [`Error::Show`].
    pub fn show(&self, connection: &Connection) -> Result<(), Error> {
        let views = stored::TABLES.iter().map(|table| {
            let rows = self.lakes.iter().enumerate();
            let rows: Vec<String> =
                rows.filter_map(|(place, lake)| self.rows(table, place, lake)).collect();
            let rows = if rows.is_empty() { none(table) } else { rows.join(" UNION ALL ") };
            format!(
                "CREATE OR REPLACE VIEW lake.{} AS {};",
                table.name,
                with_event_time(table, &rows)
            )
        });
        let views: String = views.collect();
        connection
            .execute_batch(&format!("CREATE SCHEMA IF NOT EXISTS lake; {views}"))
            .map_err(Error::Show)
    }

    /// The rows that a lake has of a table.
    fn rows(&self, table: &Stored, place: usize, lake: &Lake) -> Option<String> {
        let files: Vec<String> =
            lake.files(table.name).iter().map(|f| quoted(&f.to_string_lossy())).collect();
        if files.is_empty() {
            return None;
        }
        let rows = format!("FROM read_parquet([{}], hive_partitioning = false)", files.join(", "));
        if place == 0 {
            return Some(rows);
        }
        let numbers = table
            .numbers
            .iter()
            .map(|name| format!("({name} + {})::UBIGINT AS {name}", above(place, 0)));
        let numbers: Vec<String> = numbers.collect();
        let replace = if numbers.is_empty() {
            String::new()
        } else {
            format!("REPLACE ({})", numbers.join(", "))
        };
        let twice = lake.sessions().iter().filter(|(name, _)| self.has_before(place, name));
        let twice: Vec<String> = match table.numbers.first() {
            Some(_) => twice.map(|(_, session)| session.number.to_string()).collect(),
            None => twice.map(|(name, _)| quoted(name)).collect(),
        };
        let others = match (table.numbers.first(), &*twice) {
            (_, []) => String::new(),
            (Some(number), twice) => format!("WHERE {number} >> 32 NOT IN ({})", twice.join(", ")),
            (None, twice) => format!("WHERE session NOT IN ({})", twice.join(", ")),
        };
        Some(format!("(SELECT * {replace} {rows} {others})"))
    }
}

impl Lake {
    /// The sessions that another lake has, too. Those of our recorder have names of their own; of
    /// others, two files of one name are the same where they are one file, or hold the same.
    fn shared(&self, other: &Self) -> BTreeSet<String> {
        let (mine, others) = (self.files_by_session(), other.files_by_session());
        let is_shared = |(name, session): &(&String, &Session)| {
            let Some(there) = other.sessions().get(*name) else { return false };
            let files = |lake: &Self, files: &BySession<'_>| {
                let files = files.get(&***name).into_iter().flatten();
                files.map(|path| lake.recording(path)).collect::<Vec<_>>()
            };
            let here = files(self, &mine);
            let is_ours = |path: &PathBuf| {
                Segment::name_of(path).is_some_and(|(session, _)| session == **name)
            };
            here.iter().any(is_ours)
                || session.ends_as(there)
                || files(other, &others).iter().any(|path| here.contains(path))
        };
        self.sessions().iter().filter(is_shared).map(|(name, _)| name.clone()).collect()
    }

    /// The true name of a file by its path within the log folder, which may be that file itself.
    fn recording(&self, within: &str) -> PathBuf {
        let path = if within.is_empty() { self.logs.clone() } else { self.logs.join(within) };
        fs::canonicalize(&path).unwrap_or(path)
    }

    fn files_by_session(&self) -> BySession<'_> {
        let mut files = BySession::new();
        for (path, file) in &self.manifest.files {
            files.entry(&*file.session).or_default().push(path);
        }
        files
    }
}

/// Paths within a log folder, by session.
type BySession<'l> = HashMap<&'l str, Vec<&'l str>>;

/// A table's columns without any row.
fn none(table: &Stored) -> String {
    let column = |spec: &Spec| format!("NULL::{} AS {}", sql_type(spec), spec.name);
    let columns: Vec<String> = table.columns().iter().map(column).collect();
    format!("(SELECT {} WHERE false)", columns.join(", "))
}

/// Event times are stored as microseconds and the rest, which takes a third less.
fn with_event_time(table: &Stored, rows: &str) -> String {
    if table.columns().iter().all(|spec| spec.name != "event_us") {
        return format!("SELECT * FROM ({rows})");
    }
    format!(
        "SELECT * EXCLUDE (event_us, event_sub_ns), event_us * 1000 + event_sub_ns AS event_ns
         FROM ({rows})"
    )
}

fn sql_type(spec: &Spec) -> String {
    let stored = spec.stored();
    let kind = stored.data_type();
    if let DataType::Decimal32(digits, places) | DataType::Decimal64(digits, places) = kind {
        return format!("DECIMAL({digits}, {places})");
    }
    let whole = if kind.is_unsigned_integer() { "UBIGINT" } else { "BIGINT" };
    let name = if kind.is_integer() { whole } else { "VARCHAR" };
    if *kind == DataType::Boolean { "BOOLEAN" } else { name }.to_owned()
}

/// A text as an SQL literal, where a statement takes no parameters.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
