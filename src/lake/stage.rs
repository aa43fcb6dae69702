//! Digested rows on their way to Parquet: gathered until they are many, then sorted and written.

use std::{collections::HashMap, path::Path};

use arrow::{array::AsArray, datatypes::UInt64Type, record_batch::RecordBatch};

use super::{
    Error,
    manifest::Part,
    order::{self, Names, Sorted},
    parts::path_in,
    stored::{self, Stored, TABLES},
    table::Batches,
    write,
};

/// Rows that are gathered before they are stored: some 200 MB, and half of that to sort them.
const ROWS_MAX: usize = 2_000_000;

/// Gathered rows, and the files that they went to.
pub(super) struct Stage<'f> {
    folder: &'f Path,
    threads: usize,
    next_part: u64,
    rows: Tables,
    facts: Tables,
    names: Names,
    gathered: usize,
    parts: Vec<Part>,
}

type Tables = HashMap<&'static str, Vec<Sorted>>;

/// Rows of several tables, in the order of each.
pub(super) struct Ordered {
    sorted: Vec<(&'static Stored, Sorted)>,
    /// The names of new markets in them.
    names: Option<RecordBatch>,
}

impl Ordered {
    /// Puts rows in order, table by table.
    pub(super) fn of(rows: Batches) -> Result<Self, Error> {
        let mut ordered = Self { sorted: Vec::new(), names: None };
        for (name, batch) in rows {
            if name == "market" {
                ordered.names = Some(batch);
                continue;
            }
            let table = stored::table(name)?;
            ordered.sorted.push((table, order::sorted(table, batch)?));
        }
        Ok(ordered)
    }
}

/// What a digestion has stored.
pub(super) struct Finished {
    /// Parts for good.
    pub(super) rows: Vec<Part>,
    /// Parts that tell of the digested sessions as a whole.
    pub(super) facts: Vec<Part>,
    pub(super) next_part: u64,
}

impl<'f> Stage<'f> {
    /// A stage whose parts go to a folder, numbered from `next_part`.
    pub(super) fn new(folder: &'f Path, next_part: u64, threads: usize) -> Self {
        Self {
            folder,
            threads,
            next_part,
            rows: Tables::new(),
            facts: Tables::new(),
            names: Names::new(),
            gathered: 0,
            parts: Vec::new(),
        }
    }

    /// Takes rows, which tell of frames or are facts of a whole session.
    pub(super) fn append(&mut self, rows: Ordered, facts: bool) -> Result<(), Error> {
        rows.names.iter().for_each(|names| self.name(names));
        for (table, sorted) in rows.sorted {
            self.gathered += sorted.batch.num_rows();
            let tables = if facts { &mut self.facts } else { &mut self.rows };
            tables.entry(table.name).or_default().push(sorted);
        }
        if self.gathered >= ROWS_MAX { self.store_rows() } else { Ok(()) }
    }

    /// Stores what is left.
    pub(super) fn finish(mut self) -> Result<Finished, Error> {
        self.store_rows()?;
        let rows = std::mem::take(&mut self.parts);
        let facts = std::mem::take(&mut self.facts);
        self.store(facts, false)?;
        Ok(Finished { rows, facts: self.parts, next_part: self.next_part })
    }

    fn name(&mut self, batch: &RecordBatch) {
        let [markets, tickers] = batch.columns() else { return };
        let markets = markets.as_primitive_opt::<UInt64Type>();
        let (Some(markets), Some(tickers)) = (markets, tickers.as_string_opt::<i32>()) else {
            return;
        };
        for (market, ticker) in markets.values().iter().zip(tickers) {
            self.names.insert(*market, ticker.unwrap_or_default().to_owned());
        }
    }

    fn store_rows(&mut self) -> Result<(), Error> {
        let rows = std::mem::take(&mut self.rows);
        self.gathered = 0;
        self.store(rows, true)
    }

    fn store(&mut self, mut tables: Tables, stays: bool) -> Result<(), Error> {
        for table in &TABLES {
            let Some(batches) = tables.remove(table.name) else { continue };
            for group in order::groups(table, &batches, &self.names, stays && table.dated)? {
                let folder = match group.day_ns {
                    Some(day) => format!("{}/date={}", table.name, date(day)),
                    None => table.name.to_owned(),
                };
                let to = (self.folder, path_in(&folder, self.next_part));
                self.next_part += 1;
                let part =
                    write::write(table, &batches, &group.rows, &self.names, to, self.threads)?;
                self.parts.push(part);
            }
        }
        Ok(())
    }
}

/// A day's name, from its first nanosecond.
pub(super) fn date(day_ns: i64) -> String {
    let day = jiff::Timestamp::from_nanosecond(i128::from(day_ns)).unwrap_or_default();
    day.strftime("%Y-%m-%d").to_string()
}
