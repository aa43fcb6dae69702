//! Digested rows on their way to Parquet: tables of an in-memory DuckDB, emptied again and again.

use std::{collections::HashMap, path::Path};

use duckdb::{Appender, Connection, arrow::record_batch::RecordBatch};

use super::{
    Error,
    manifest::Part,
    part,
    stored::{Stored, TABLES},
    table,
};

/// Rows of book events that are gathered before they are sorted and stored: some 500 MB.
const ROWS_MAX: usize = 4_000_000;
const DAY_NS: i64 = 86_400_000_000_000;
/// Words as numbers with a dictionary, which costs nothing to write.
const WORDS: &str = "CREATE TYPE side_word AS ENUM ('yes', 'no');
                     CREATE TYPE kind_word AS ENUM ('snapshot', 'delta');";

/// What rows tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Schema {
    /// Frames: for good.
    Rows,
    /// A session as a whole, or what is open at its present end.
    Facts,
    /// The names of markets.
    Names,
}

impl Schema {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Facts => "facts",
            Self::Names => "names",
        }
    }

    /// Where rows of a table belong that tell of frames, or of a session.
    fn of(table: &str, facts: bool) -> Self {
        match table {
            "market" => Self::Names,
            _ if facts => Self::Facts,
            _ => Self::Rows,
        }
    }
}

/// The tables, and the files that they go to.
pub(super) struct Stage<'c> {
    connection: &'c Connection,
    appenders: HashMap<(Schema, &'static str), Appender<'c>>,
    rows: usize,
    folder: &'c Path,
    next_part: u64,
    parts: Vec<Part>,
}

/// What a digestion has stored.
pub(super) struct Finished {
    /// Parts for good.
    pub(super) rows: Vec<Part>,
    /// Parts that tell of the digested sessions as a whole.
    pub(super) facts: Vec<Part>,
    pub(super) next_part: u64,
}

impl<'c> Stage<'c> {
    /// Creates the tables.
    pub(super) fn create_tables(connection: &Connection) -> Result<(), Error> {
        for schema in [Schema::Rows, Schema::Facts, Schema::Names] {
            let name = schema.as_str();
            let tables = table::create_statements(name);
            run(connection, "lake", &format!("CREATE SCHEMA {name}; {tables}"))?;
        }
        run(connection, "lake", WORDS)?;
        rank_markets(connection)
    }

    /// A stage whose parts go to a folder, numbered from `next_part`.
    pub(super) fn new(connection: &'c Connection, folder: &'c Path, next_part: u64) -> Self {
        Self {
            connection,
            appenders: HashMap::new(),
            rows: 0,
            folder,
            next_part,
            parts: Vec::new(),
        }
    }

    /// Takes a batch of rows of a table, which tell of frames or are facts of a whole session.
    pub(super) fn append(
        &mut self,
        table: &'static str,
        batch: RecordBatch,
        facts: bool,
    ) -> Result<(), Error> {
        let fail = |source| Error::Store { table, source };
        let schema = Schema::of(table, facts);
        self.rows += batch.num_rows();
        if !self.appenders.contains_key(&(schema, table)) {
            let appender = self.connection.appender_to_db(table, schema.as_str()).map_err(fail)?;
            self.appenders.insert((schema, table), appender);
        }
        if let Some(appender) = self.appenders.get_mut(&(schema, table)) {
            appender.append_record_batch(batch).map_err(fail)?;
        }
        if self.rows >= ROWS_MAX {
            self.store(Schema::Rows)?;
        }
        Ok(())
    }

    /// Stores what is left. Returns the parts for good, the parts that tell of these sessions as a
    /// whole, and the number of the next.
    pub(super) fn finish(mut self) -> Result<Finished, Error> {
        self.store(Schema::Rows)?;
        let rows = std::mem::take(&mut self.parts);
        self.store(Schema::Facts)?;
        run(self.connection, "market", "TRUNCATE names.market")?;
        Ok(Finished { rows, facts: self.parts, next_part: self.next_part })
    }

    /// Sorts and writes the rows of a schema and empties its tables.
    fn store(&mut self, schema: Schema) -> Result<(), Error> {
        for (&(_, table), appender) in &mut self.appenders {
            appender.flush().map_err(|source| Error::Store { table, source })?;
        }
        rank_markets(self.connection)?;
        for table in &TABLES {
            let from = format!("{}.{}", schema.as_str(), table.name);
            for day in self.days(table, schema, &from)? {
                let range = day.map(|day| day..day.saturating_add(DAY_NS));
                self.write(table, &table.digested(schema.as_str(), range), day)?;
            }
            run(self.connection, table.name, &format!("TRUNCATE {from}"))?;
        }
        self.rows = 0;
        Ok(())
    }

    /// The days that rows fall on; one without a name for facts.
    fn days(&self, table: &Stored, schema: Schema, from: &str) -> Result<Vec<Option<i64>>, Error> {
        let time = table.time;
        let day = if schema == Schema::Rows && table.stays {
            format!("{time} // {DAY_NS} * {DAY_NS}")
        } else {
            "NULL::BIGINT".to_owned()
        };
        let sql = format!("SELECT DISTINCT {day} AS day FROM {from} ORDER BY day");
        let fail = |source| Error::Store { table: table.name, source };
        let mut statement = self.connection.prepare(&sql).map_err(fail)?;
        let days = statement.query_map([], |row| row.get(0));
        days.and_then(Iterator::collect).map_err(fail)
    }

    fn write(&mut self, table: &Stored, rows: &str, day: Option<i64>) -> Result<(), Error> {
        let folder = match day {
            Some(day) => format!("{}/date={}", table.name, date(day)),
            None => table.name.to_owned(),
        };
        let path = format!("{folder}/part-{:08}.parquet", self.next_part);
        self.next_part += 1;
        self.parts.push(part::write(self.connection, table, rows, self.folder, path)?);
        Ok(())
    }
}

/// A day's name, from its first nanosecond.
fn date(day_ns: i64) -> String {
    let day = jiff::Timestamp::from_nanosecond(i128::from(day_ns)).unwrap_or_default();
    day.strftime("%Y-%m-%d").to_string()
}

/// Sorting by a number is faster than by a name.
fn rank_markets(connection: &Connection) -> Result<(), Error> {
    let sql = "CREATE OR REPLACE TABLE names.ranked AS
               SELECT market, ticker, dense_rank() OVER (ORDER BY ticker)::UINTEGER AS rank
               FROM names.market";
    run(connection, "market", sql)
}

/// Runs statements of ours.
pub(super) fn run(connection: &Connection, table: &'static str, sql: &str) -> Result<(), Error> {
    connection.execute_batch(sql).map_err(|source| Error::Store { table, source })
}
