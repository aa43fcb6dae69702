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
use crate::lake::{LoadReport, Loader, Memory};

const VIEWS: &str = include_str!("sql/views.sql");
const LIVE: &str = include_str!("sql/live.sql");

/// Opens an empty database in memory, which fetches nothing from anywhere.
pub(super) fn open() -> Result<Connection, Error> {
    let fail = failed("open DuckDB in memory");
    let config = Config::default()
        .with("autoinstall_known_extensions", "false")
        .and_then(|config| config.with("autoload_known_extensions", "false"))
        .map_err(&fail)?;
    let connection = Connection::open_in_memory_with_flags(config).map_err(&fail)?;
    Memory::create_tables(&connection)
        .map_err(|source| Error::Load { path: "lake".into(), source })?;
    connection.execute_batch(LIVE).map_err(failed("make table `live`"))?;
    connection.execute_batch(VIEWS).map_err(failed("make the views"))?;
    Ok(connection)
}

/// Loads a log folder into the tables.
pub(super) fn load(
    connection: &Connection,
    loader: &mut Loader,
    folder: &std::path::Path,
) -> Result<LoadReport, Error> {
    let fail = |source| Error::Load { path: folder.to_owned(), source };
    let mut sink = Memory::new(connection);
    let report = loader.load(folder, &mut sink).map_err(fail)?;
    sink.finish().map_err(fail)?;
    connection.execute_batch(LIVE).map_err(failed("find which stream is live when"))?;
    Ok(report)
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
