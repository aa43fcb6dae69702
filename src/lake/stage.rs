//! Digested rows on their way to Parquet: gathered until they are many, then sorted and written.

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use arrow::{array::AsArray, datatypes::UInt64Type, record_batch::RecordBatch};

use super::{
    Error,
    manifest::Part,
    order::{self, Group, Names},
    ordered,
    stored::{Stored, TABLES},
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

type Tables = HashMap<&'static str, Vec<RecordBatch>>;

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

    /// Takes rows, which tell of frames or are facts of a whole session, with the names of all new
    /// markets in them.
    pub(super) fn append(
        &mut self,
        batches: Vec<(&'static str, RecordBatch)>,
        facts: bool,
    ) -> Result<(), Error> {
        for (table, batch) in batches {
            if table == "market" {
                self.name(&batch);
                continue;
            }
            self.gathered += batch.num_rows();
            let tables = if facts { &mut self.facts } else { &mut self.rows };
            tables.entry(table).or_default().push(batch);
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

    /// Stores tables, several at once.
    fn store(&mut self, mut tables: Tables, stays: bool) -> Result<(), Error> {
        let tables: Vec<(&Stored, Vec<RecordBatch>)> =
            TABLES.iter().filter_map(|table| Some((table, tables.remove(table.name)?))).collect();
        let next_part = AtomicU64::new(self.next_part);
        let (folder, names, threads) = (self.folder, &self.names, self.threads);
        let store = |number: usize| {
            let Some((table, batches)) = tables.get(number) else { return Ok(Vec::new()) };
            let groups = order::groups(table, batches, names, stays && table.dated)?;
            let write = |group: Group| {
                let number = next_part.fetch_add(1, Ordering::Relaxed);
                let day =
                    group.day_ns.map_or_else(String::new, |day| format!("date={}/", date(day)));
                let path = format!("{}/{day}part-{number:08}.parquet", table.name);
                write::write(table, batches, &group.rows, names, (folder, path), threads)
            };
            groups.into_iter().map(write).collect()
        };
        let parts = &mut self.parts;
        let stored =
            ordered::each(tables.len(), threads, store, |stored: Result<Vec<Part>, Error>| {
                stored.map(|stored| parts.extend(stored))
            });
        self.next_part = next_part.into_inner();
        stored
    }
}

/// A day's name, from its first nanosecond.
pub(super) fn date(day_ns: i64) -> String {
    let day = jiff::Timestamp::from_nanosecond(i128::from(day_ns)).unwrap_or_default();
    day.strftime("%Y-%m-%d").to_string()
}
