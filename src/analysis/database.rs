//! DuckDB: opened, given its tables and views, and asked.

use std::{
    num::NonZero,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use duckdb::{Config, Connection};

use super::{Error, Interrupter};
use crate::lake::Lakes;
pub(super) use crate::lake::quoted;

const VIEWS: &str = include_str!("sql/views.sql");
const MACROS: &str = include_str!("sql/macros.sql");
const LIVE: &str = include_str!("sql/live.sql");
/// The page for people; what it says of views and columns, SQL can say, too.
const PAGE: &str = include_str!("../../docs/sql.md");

/// How much of the machine may be used. What is not said is up to DuckDB: a thread a core, and 80
/// per cent of the memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Bytes of memory for queries; beyond it they go on in temporary files, or fail.
    pub memory_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<NonZero<usize>>,
}

impl Options {
    /// As many threads as are allowed, or as the machine runs at once.
    pub(super) fn threads(self) -> usize {
        let threads = self.threads.or_else(|| thread::available_parallelism().ok());
        threads.map_or(1, NonZero::get)
    }
}

/// Opens a database in memory, which fetches nothing from anywhere. What it has no memory for goes
/// to a temporary folder of its own.
pub(super) fn open(options: Options, interrupter: &Interrupter) -> Result<Connection, Error> {
    let fail = failed("open DuckDB in memory");
    let scratch = scratch();
    let mut settings = vec![
        ("autoinstall_known_extensions", "false".to_owned()),
        ("autoload_known_extensions", "false".to_owned()),
        ("temp_directory", scratch.display().to_string()),
    ];
    settings.extend(options.memory_bytes.map(|bytes| ("memory_limit", format!("{bytes}B"))));
    settings.extend(options.threads.map(|threads| ("threads", threads.to_string())));
    let config = settings
        .into_iter()
        .try_fold(Config::default(), |config, (name, value)| config.with(name, value))
        .map_err(&fail)?;
    let connection = Connection::open_in_memory_with_flags(config).map_err(&fail)?;
    // Where time zones are not built in, there is only UTC.
    drop(connection.execute_batch("SET TimeZone = 'UTC'"));
    interrupter.watch(connection.interrupt_handle(), scratch);
    Ok(connection)
}

/// A folder that no other database has; it is made when it is needed.
fn scratch() -> PathBuf {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let number = OPENED.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("kalshi-{}-{number}", process::id()))
}

/// Makes the rows of lakes visible to the questions of this program.
pub(super) fn show(connection: &Connection, lakes: &Lakes) -> Result<(), Error> {
    let fail = |source| Error::Load { path: "lake".into(), source };
    lakes.show(connection).map_err(fail)?;
    connection.execute_batch(LIVE).map_err(failed("make the macro of live times"))
}

/// Makes them visible to people, too.
pub(super) fn show_views(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch(VIEWS).map_err(failed("make the views"))?;
    connection.execute_batch(MACROS).map_err(failed("make the macros"))
}

/// Lets the views and their columns tell what they are.
pub(super) fn comment(connection: &Connection) -> Result<(), Error> {
    let (mut view, mut kind) = ("", "");
    let mut comments = String::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("### `") {
            view = heading.split(['`', '(']).next().unwrap_or_default();
            kind = if heading.contains('(') { "MACRO TABLE" } else { "VIEW" };
        } else if let Some(text) = line.strip_prefix("One row is ").filter(|_| !view.is_empty()) {
            let text = quoted(&format!("One row is {text}"));
            comments += &format!("COMMENT ON {kind} {view} IS {text};");
        } else if let Some(row) = line.strip_prefix("| `").filter(|_| kind == "VIEW") {
            let mut cells = row.split(" | ");
            let names = cells.next().unwrap_or_default();
            let text = quoted(cells.nth(1).unwrap_or_default().trim_end_matches([' ', '|']));
            for column in names.split([',', ' ', '`']).filter(|name| !name.is_empty()) {
                comments += &format!("COMMENT ON COLUMN {view}.{column} IS {text};");
            }
        }
    }
    connection.execute_batch(&comments).map_err(failed("comment the views"))
}

/// An error of DuckDB under a name of what was tried.
pub(super) fn failed(action: &str) -> impl Fn(duckdb::Error) -> Error + use<> {
    let action = action.to_owned();
    move |source| {
        if source.to_string().starts_with("INTERRUPT Error") {
            return Error::Interrupted;
        }
        Error::Database { action: action.clone(), source }
    }
}
