//! DuckDB: opened, given its tables and views, and asked.

use duckdb::{Config, Connection};

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

/// An error of DuckDB under a name of what was tried.
pub(super) fn failed(action: &str) -> impl Fn(duckdb::Error) -> Error + use<> {
    let action = action.to_owned();
    move |source| Error::Database { action: action.clone(), source }
}
