//! What may be asked in SQL: one query, which only reads.
//!
//! DuckDB's own parser decides. Whatever it can write out as the tree of a `SELECT` (also
//! `DESCRIBE`, `SUMMARIZE`, `SHOW`, `VALUES`, `FROM ...`) changes nothing, as long as it calls no
//! table function that does. Two kinds of reading have no such tree: `EXPLAIN`, whose query has
//! one, and `PIVOT` without a list of its columns. That is run within `FROM (...)`, where the
//! grammar allows only queries, and holds no semicolon, so that nothing comes after it.

use std::collections::BTreeSet;

use duckdb::Connection;
use serde::Deserialize;
use serde_json::Value;

use super::{Error, Table, database, holes::Of, near::near};

/// Table functions that only read. Those of the database itself, and those that read files of the
/// user's own.
const READING: &[&str] = &[
    "book_at",
    "duckdb_approx_database_count",
    "duckdb_columns",
    "duckdb_connection_count",
    "duckdb_constraints",
    "duckdb_coordinate_systems",
    "duckdb_databases",
    "duckdb_dependencies",
    "duckdb_extensions",
    "duckdb_external_file_cache",
    "duckdb_functions",
    "duckdb_indexes",
    "duckdb_keywords",
    "duckdb_memory",
    "duckdb_optimizers",
    "duckdb_prepared_statements",
    "duckdb_schemas",
    "duckdb_sequences",
    "duckdb_settings",
    "duckdb_table_sample",
    "duckdb_tables",
    "duckdb_temporary_files",
    "duckdb_types",
    "duckdb_variables",
    "duckdb_views",
    "generate_series",
    "glob",
    "histogram",
    "histogram_values",
    "icu_calendar_names",
    "json_each",
    "json_tree",
    "live",
    "parquet_bloom_probe",
    "parquet_file_metadata",
    "parquet_full_metadata",
    "parquet_kv_metadata",
    "parquet_metadata",
    "parquet_scan",
    "parquet_schema",
    "pg_timezone_names",
    "pragma_collations",
    "pragma_database_size",
    "pragma_metadata_info",
    "pragma_platform",
    "pragma_show",
    "pragma_storage_info",
    "pragma_table_info",
    "pragma_user_agent",
    "pragma_version",
    "range",
    "read_blob",
    "read_csv",
    "read_csv_auto",
    "read_json",
    "read_json_auto",
    "read_json_objects",
    "read_json_objects_auto",
    "read_ndjson",
    "read_ndjson_auto",
    "read_ndjson_objects",
    "read_parquet",
    "read_text",
    "repeat",
    "repeat_row",
    "sniff_csv",
    "spread_bars",
    "sql_auto_complete",
    "summary",
    "test_all_types",
    "test_vector_types",
    "unnest",
    "vwap_bars",
];

/// Those of the archive, whose first argument is a market, and what their rows are made of.
const MACROS: [(&str, Of); 3] =
    [("book_at", Of::Book), ("spread_bars", Of::Book), ("vwap_bars", Of::Trades)];

/// Parts of the names of table functions that change something, hide what they run, or are no
/// business of a query. A name that is in neither list is none of DuckDB's.
const OTHERS: &[&str] = &[
    "arrow_scan",
    "checkpoint",
    "duckdb_log",
    "execute_serialized",
    "logging",
    "peg_parser",
    "profiling",
    "query",
    "read_duckdb",
    "secret",
    "seq_scan",
    "truncate_",
];

/// Words that begin what is refused, for the error.
const VERBS: &[&str] = &[
    "alter",
    "analyze",
    "attach",
    "begin",
    "call",
    "checkpoint",
    "comment",
    "commit",
    "copy",
    "create",
    "deallocate",
    "delete",
    "detach",
    "drop",
    "execute",
    "export",
    "import",
    "insert",
    "install",
    "load",
    "merge",
    "pragma",
    "prepare",
    "reset",
    "rollback",
    "set",
    "truncate",
    "update",
    "use",
    "vacuum",
];

/// A query that only reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// As DuckDB is to be given it.
    pub(super) sql: String,
    /// As something to select from; none of an `EXPLAIN`.
    pub(super) table: Option<String>,
    pub(super) named: Named,
}

/// What a query names, in lower case but for the tickers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Tables and views whose rows it reads.
    pub(super) tables: BTreeSet<String>,
    /// Queries of its own, which may have names of views.
    pub(super) own: BTreeSet<String>,
    /// Macros of the archive, and the market that each is asked about, where it is a text.
    pub(super) asked: BTreeSet<(String, Option<String>)>,
}

/// What DuckDB makes of a text.
#[derive(Deserialize)]
struct Tree {
    #[serde(default)]
    error: bool,
    error_type: Option<String>,
    error_message: Option<String>,
    position: Option<String>,
    #[serde(default)]
    statements: Vec<Value>,
}

/// Takes a text for a query that only reads.
///
/// # Errors
/// [`Error::Refused`] where it does more, [`Error::NoFunction`] where it calls a table function that
/// is not there, [`Error::Syntax`] where it is no SQL.
pub(super) fn reading(connection: &Connection, text: &str) -> Result<Reading, Error> {
    let tree = tree(connection, text)?;
    if !tree.error {
        let named = check(&tree)?;
        let table = format!("query({})", database::quoted(text));
        return Ok(Reading { sql: text.to_owned(), table: Some(table), named });
    }
    if tree.error_type.as_deref() != Some("not implemented") {
        return Err(Error::Syntax(explained(&tree, text)));
    }
    if let Some((how, rest)) = explain(text) {
        let inner = reading(connection, rest)?;
        return Ok(Reading { sql: format!("{how} {}", inner.sql), table: None, ..inner });
    }
    pivot(text).ok_or_else(|| refused(text))
}

impl Named {
    /// What of messages the tables and views are made of.
    pub(super) fn of(&self) -> impl Iterator<Item = Of> {
        let of = |name: &String| Table::ALL.iter().find(|table| table.as_str() == name)?.of();
        self.tables.iter().filter_map(of)
    }

    /// What of messages the macros are made of, and of which market, where that is known.
    pub(super) fn asked(&self) -> impl Iterator<Item = (Of, Option<&str>)> {
        let of = |asked: &str| MACROS.iter().find(|(name, _)| *name == asked).map(|(_, of)| *of);
        self.asked.iter().filter_map(move |(name, ticker)| Some((of(name)?, ticker.as_deref())))
    }

    /// Whether the query reads what tells of holes.
    pub(super) fn tells_of_holes(&self) -> bool {
        let is_read = |view: &&str| self.tables.contains(*view) && !self.own.contains(*view);
        ["gaps", "coverage", "spans"].iter().any(is_read)
    }
}

fn tree(connection: &Connection, text: &str) -> Result<Tree, Error> {
    let fail = database::failed("read the query");
    let sql = "SELECT json_serialize_sql($1::VARCHAR)::VARCHAR";
    let json: String = connection.query_row(sql, [text], |row| row.get(0)).map_err(&fail)?;
    let mut tree = serde_json::Deserializer::from_str(&json);
    // DuckDB's parser has a limit of its own, of a thousand expressions in each other.
    tree.disable_recursion_limit();
    Tree::deserialize(&mut tree).map_err(|error| Error::Syntax(error.to_string()))
}

/// One query, and only table functions that read.
fn check(tree: &Tree) -> Result<Named, Error> {
    let mut named = Named::default();
    match tree.statements.as_slice() {
        [statement] => walk(statement, &mut named)?,
        [] => return Err(Error::Refused("an empty query".into())),
        several => return Err(Error::Refused(format!("a text of {} queries", several.len()))),
    }
    tree.statements.iter().for_each(|statement| own_names(statement, &mut named.own));
    Ok(named)
}

fn walk(node: &Value, named: &mut Named) -> Result<(), Error> {
    match node {
        Value::Object(members) => {
            let text = |name| members.get(name).and_then(Value::as_str).unwrap_or_default();
            match (text("type"), members.get("function")) {
                // It tells of a table, and of none of its rows.
                ("SHOW_REF", _) if text("show_type") != "SUMMARY" => {
                    return walk_all(members.values(), &mut Named::default());
                }
                ("BASE_TABLE", _) => {
                    named.tables.insert(text("table_name").to_ascii_lowercase());
                }
                ("TABLE_FUNCTION", Some(call)) => {
                    let name = call.get("function_name").and_then(Value::as_str);
                    let name = name.unwrap_or_default();
                    function(name)?;
                    let name = name.to_ascii_lowercase();
                    if MACROS.iter().any(|(ours, _)| *ours == name) {
                        named.asked.insert((name, first_argument(call)));
                    }
                }
                _ => {}
            }
            walk_all(members.values(), named)
        }
        Value::Array(nodes) => walk_all(nodes.iter(), named),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Names that a query gives to queries of its own.
fn own_names(node: &Value, own: &mut BTreeSet<String>) {
    match node {
        Value::Object(members) => {
            let map = members.get("cte_map").and_then(|map| map.get("map")?.as_array());
            let names = map.into_iter().flatten().filter_map(|entry| entry.get("key")?.as_str());
            own.extend(names.map(str::to_ascii_lowercase));
            members.values().for_each(|node| own_names(node, own));
        }
        Value::Array(nodes) => nodes.iter().for_each(|node| own_names(node, own)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn walk_all<'n>(
    mut nodes: impl Iterator<Item = &'n Value>,
    named: &mut Named,
) -> Result<(), Error> {
    nodes.try_for_each(|node| walk(node, named))
}

/// The first argument of a macro of ours, where it is a text.
fn first_argument(call: &Value) -> Option<String> {
    let arguments = call.get("children")?.as_array()?;
    let is_first = |(place, argument): &(usize, &Value)| match argument.get("alias")?.as_str()? {
        "" => Some(*place == 0),
        name => Some(name.eq_ignore_ascii_case("wanted")),
    };
    let mut arguments = arguments.iter().enumerate();
    let (_, first) = arguments.find(|argument| is_first(argument) == Some(true))?;
    Some(first.pointer("/value/value")?.as_str()?.to_owned())
}

fn function(name: &str) -> Result<(), Error> {
    let lower = name.to_ascii_lowercase();
    if READING.contains(&lower.as_str()) {
        Ok(())
    } else if OTHERS.iter().any(|other| lower.contains(other)) {
        Err(Error::Refused(format!("the table function `{name}`")))
    } else {
        let near = near(&lower, READING.iter().map(|name| (*name).to_owned()));
        Err(Error::NoFunction { name: name.to_owned(), near })
    }
}

/// `EXPLAIN` with its options, and what is to be explained.
fn explain(text: &str) -> Option<(String, &str)> {
    let (first, rest) = word(text);
    if !first.eq_ignore_ascii_case("explain") {
        return None;
    }
    let (second, after) = word(rest);
    if second.eq_ignore_ascii_case("analyze") {
        return Some(("EXPLAIN ANALYZE".into(), after));
    }
    let options = after_blanks(rest).strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let is_option =
        |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ',' || c.is_whitespace();
    match options {
        Some((options, after)) if options.chars().all(is_option) && !begins_query(options) => {
            Some((format!("EXPLAIN ({options})"), after))
        }
        _ => Some(("EXPLAIN".into(), rest)),
    }
}

fn begins_query(text: &str) -> bool {
    let (first, _) = word(text);
    let queries = ["select", "from", "with", "values", "describe", "show", "summarize", "table"];
    queries.iter().any(|query| first.eq_ignore_ascii_case(query))
}

/// A `PIVOT` whose columns come from the data.
fn pivot(text: &str) -> Option<Reading> {
    let text = text.trim_end().trim_end_matches(';');
    let lower = text.to_lowercase();
    let fits = lower.contains("pivot")
        && !text.contains(';')
        && !OTHERS.iter().any(|function| lower.contains(function))
        && !VERBS.iter().any(|verb| word(text).0.eq_ignore_ascii_case(verb));
    let table = format!("(\n{text}\n)");
    // Without its tree, whatever looks like a name; in texts, too, where there may be comments.
    let has_comments = text.contains("--") || text.contains("/*");
    let outside = lower.split('\'').step_by(if has_comments { 1 } else { 2 });
    let words =
        outside.flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let tables: BTreeSet<String> = words.map(str::to_owned).collect();
    let named = || {
        let called = MACROS.iter().filter(|(name, _)| tables.contains(*name));
        let asked = called.map(|(name, _)| ((*name).to_owned(), None)).collect();
        // What tells of holes is not looked for: it would be believed wherever it stands.
        let own = ["gaps", "coverage", "spans"].map(str::to_owned).into();
        Named { tables: tables.clone(), own, asked }
    };
    fits.then(|| Reading { sql: format!("FROM {table}"), table: Some(table), named: named() })
}

fn refused(text: &str) -> Error {
    let words = text.split(|c: char| !c.is_ascii_alphabetic() && c != '_');
    let verb = words.into_iter().find(|word| VERBS.iter().any(|v| word.eq_ignore_ascii_case(v)));
    Error::Refused(match verb {
        Some(verb) => format!("`{}`", verb.to_ascii_uppercase()),
        None => "anything but a query".into(),
    })
}

/// DuckDB's words, and the line that they are about.
fn explained(tree: &Tree, text: &str) -> String {
    let message = tree.error_message.as_deref().unwrap_or("it cannot be parsed");
    let position = tree.position.as_ref().and_then(|position| position.parse::<usize>().ok());
    let before = position.and_then(|position| text.get(..position));
    let Some(before) = before else { return message.to_owned() };
    let number = before.matches('\n').count();
    let Some(line) = text.lines().nth(number) else { return message.to_owned() };
    let column = before.lines().nth(number).map_or(0, |before| before.chars().count());
    let label = format!("LINE {}: ", number + 1);
    format!("{message}\n{label}{line}\n{:1$}^", "", label.len() + column)
}

/// The first word of a text, and what comes after it.
fn word(text: &str) -> (&str, &str) {
    let text = after_blanks(text);
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// A text without blanks and comments before it.
fn after_blanks(text: &str) -> &str {
    let mut text = text;
    loop {
        text = text.trim_start();
        let comment = if text.starts_with("--") {
            text.split_once('\n')
        } else if text.starts_with("/*") {
            text.split_once("*/")
        } else {
            return text;
        };
        let Some((_, rest)) = comment else { return "" };
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another version of DuckDB has other functions; each is to be thought about.
    #[test]
    fn every_table_function_is_in_one_of_the_lists() {
        let connection = Connection::open_in_memory().unwrap();
        let sql = "SELECT DISTINCT function_name FROM duckdb_functions()
                   WHERE function_type IN ('table', 'table_macro')";
        let mut statement = connection.prepare(sql).unwrap();
        let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let names: Vec<String> = names.map(Result::unwrap).collect();
        assert!(names.len() > 50, "{names:?}");
        for name in names {
            let reads = READING.contains(&name.as_str());
            let other = OTHERS.iter().any(|other| name.contains(other));
            assert!(reads != other, "{name} reads: {reads}, does else: {other}");
        }
    }

    #[test]
    fn options_of_explain_are_told_from_its_query() {
        for (text, how, rest) in [
            ("EXPLAIN SELECT 1", "EXPLAIN", " SELECT 1"),
            (" -- why\n explain /* so */ analyze FROM t", "EXPLAIN ANALYZE", " FROM t"),
            ("EXPLAIN (FORMAT json) FROM t", "EXPLAIN (FORMAT json)", " FROM t"),
            ("EXPLAIN (SELECT 1)", "EXPLAIN", " (SELECT 1)"),
        ] {
            assert_eq!(explain(text), Some((how.to_owned(), rest)), "{text}");
        }
        assert_eq!(explain("SELECT 'EXPLAIN'"), None);
    }
}
