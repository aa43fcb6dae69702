//! DuckDB: opened, given its tables and views, and asked.

use duckdb::{
    Config, Connection, Params,
    arrow::{
        array::AsArray,
        datatypes::{Decimal128Type, Int64Type},
        record_batch::RecordBatch,
    },
};

use super::Error;
use crate::lake::Lakes;

const VIEWS: &str = include_str!("sql/views.sql");
const LIVE: &str = include_str!("sql/live.sql");

/// Opens a database in memory, which fetches nothing from anywhere.
pub(super) fn open() -> Result<Connection, Error> {
    let fail = failed("open DuckDB in memory");
    let config = Config::default()
        .with("autoinstall_known_extensions", "false")
        .and_then(|config| config.with("autoload_known_extensions", "false"))
        .map_err(&fail)?;
    Connection::open_in_memory_with_flags(config).map_err(&fail)
}

/// Makes the rows of lakes visible to the questions of this program.
pub(super) fn show(connection: &Connection, lakes: &Lakes) -> Result<(), Error> {
    let fail = |source| Error::Load { path: "lake".into(), source };
    lakes.show(connection).map_err(fail)?;
    connection.execute_batch(LIVE).map_err(failed("make the macro of live times"))
}

/// Makes them visible to people, too.
pub(super) fn show_views(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch(VIEWS).map_err(failed("make the views"))
}

/// Runs a query of ours; `name` is for the error.
pub(super) fn rows(
    connection: &Connection,
    name: &str,
    sql: &str,
    params: impl Params,
) -> Result<Vec<RecordBatch>, Error> {
    let fail = failed(&format!("ask for {name}"));
    let mut statement = connection.prepare(sql).map_err(&fail)?;
    let batches = statement.query_arrow(params).map_err(&fail)?;
    Ok(batches.collect())
}

/// An error of DuckDB under a name of what was tried.
pub(super) fn failed(action: &str) -> impl Fn(duckdb::Error) -> Error + use<> {
    let action = action.to_owned();
    move |source| Error::Database { action: action.clone(), source }
}

/// The values of an integer column; absent ones too.
pub(super) fn integers(
    batch: &RecordBatch,
    column: usize,
) -> impl Iterator<Item = Option<i64>> + '_ {
    let column = batch.columns().get(column).and_then(|c| c.as_primitive_opt::<Int64Type>());
    column.into_iter().flat_map(|column| column.iter())
}

/// The units of a decimal column; absent ones too.
pub(super) fn units(batch: &RecordBatch, column: usize) -> impl Iterator<Item = Option<i64>> + '_ {
    let column = batch.columns().get(column).and_then(|c| c.as_primitive_opt::<Decimal128Type>());
    let values = column.into_iter().flat_map(|column| column.iter());
    values.map(|value| value.and_then(|value| i64::try_from(value).ok()))
}
