//! Several lakes as one.

use duckdb::Connection;

use super::{
    Error, Lake,
    stage::{self, Stage},
    stored,
};

/// The lakes of an analysis, in the order they were added.
#[derive(Debug, Default)]
pub struct Lakes(Vec<Lake>);

/// Numbers of a lake are below this, and those of the next one are above it.
const NUMBERS_BITS: usize = 52;

impl Lakes {
    /// Adds a lake, or what has become of one that is there.
    pub fn add(&mut self, lake: Lake) {
        match self.0.iter_mut().find(|known| known.folder() == lake.folder()) {
            Some(known) => *known = lake,
            None => self.0.push(lake),
        }
    }

    /// Makes a view `lake.TABLE` of each table. A session that several lakes have is taken from the
    /// first. Without any lake the views have their columns and no rows.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn show(&self, connection: &Connection) -> Result<(), Error> {
        if self.0.is_empty() {
            Stage::create_tables(connection)?;
        }
        let views = stored::TABLES.iter().map(|table| {
            let rows = self.0.iter().enumerate().map(|(place, lake)| self.rows(table, place, lake));
            let rows: Vec<String> = rows.collect();
            let rows = if rows.is_empty() {
                table.digested("rows", None)
            } else {
                rows.join(" UNION ALL ")
            };
            format!("CREATE OR REPLACE VIEW lake.{} AS {rows};", table.name)
        });
        let views: String = views.collect();
        stage::run(connection, "lake", &format!("CREATE SCHEMA IF NOT EXISTS lake; {views}"))
    }

    fn rows(&self, table: &stored::Stored, place: usize, lake: &Lake) -> String {
        let files: Vec<String> =
            lake.files(table.name).iter().map(|f| stored::quoted(&f.to_string_lossy())).collect();
        let rows = format!("FROM read_parquet([{}], hive_partitioning = false)", files.join(", "));
        if place == 0 {
            return rows;
        }
        let numbers = table.numbers.iter().map(|name| {
            format!("({name} + {})::UBIGINT AS {name}", (place as u64) << NUMBERS_BITS)
        });
        let numbers: Vec<String> = numbers.collect();
        let replace = if numbers.is_empty() {
            String::new()
        } else {
            format!("REPLACE ({})", numbers.join(", "))
        };
        // The numbers of this lake, of the sessions that an earlier one has.
        let earlier = self.0.iter().take(place);
        let twice = lake.sessions().iter().filter(|(name, _)| {
            earlier.clone().any(|earlier| earlier.sessions().contains_key(*name))
        });
        let others = table.not_of(twice);
        format!("(SELECT * {replace} {rows} {others})")
    }
}
