//! Rows as tables of an in-memory DuckDB.

use std::collections::HashMap;

use duckdb::{Appender, Connection, arrow::record_batch::RecordBatch};

use super::{Error, Sink, table};

/// Appends rows to the tables of schema `lake`.
pub struct Memory<'c> {
    connection: &'c Connection,
    appenders: HashMap<&'static str, Appender<'c>>,
}

impl<'c> Memory<'c> {
    /// Creates the tables.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn create_tables(connection: &Connection) -> Result<(), Error> {
        let sql = table::create_statements().join(";\n");
        connection
            .execute_batch(&format!("CREATE SCHEMA lake;\n{sql}"))
            .map_err(|source| Error::Store { table: "lake", source })
    }

    /// A sink into tables that are there.
    #[must_use]
    pub fn new(connection: &'c Connection) -> Self {
        Self { connection, appenders: HashMap::new() }
    }

    /// Makes all rows visible.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn finish(self) -> Result<(), Error> {
        for (table, mut appender) in self.appenders {
            appender.flush().map_err(|source| Error::Store { table, source })?;
        }
        Ok(())
    }
}

impl Sink for Memory<'_> {
    fn append(&mut self, table: &'static str, batch: RecordBatch) -> Result<(), Error> {
        let fail = |source| Error::Store { table, source };
        if !self.appenders.contains_key(table) {
            let appender = self.connection.appender_to_db(table, "lake").map_err(fail)?;
            self.appenders.insert(table, appender);
        }
        match self.appenders.get_mut(table) {
            Some(appender) => appender.append_record_batch(batch).map_err(fail),
            None => Ok(()),
        }
    }
}
