//! The files of a lake change with it: small ones become one, and what was known of a session as a
//! whole makes place for what is known by now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Error, Lake, manifest::Part, rewrite::rewrite, stored};

/// So many small files of one table and day become one.
const PARTS_MAX: usize = 8;
/// A file of so many rows is not small.
const LARGE_ROWS: u64 = 1_000_000;
/// The most rows of several files that become one: they are in memory at once.
const MERGED_ROWS_MAX: u64 = 2_000_000;

impl Lake {
    /// Takes out what was known of these sessions as a whole: more of them has been digested.
    pub(super) fn forget_facts(
        &mut self,
        told: &BTreeSet<u32>,
        threads: usize,
    ) -> Result<(), Error> {
        let tells = |part: &Part| !part.sessions.is_disjoint(told);
        for place in 0..self.manifest.parts.len() {
            let Some(part) = self.manifest.parts.get(place).filter(|part| tells(part)) else {
                continue;
            };
            let part = part.clone();
            let sessions: BTreeSet<u32> = part.sessions.difference(told).copied().collect();
            let rest = if sessions.is_empty() {
                None
            } else {
                let known = &self.manifest.sessions;
                let gone = known.iter().filter(|(_, session)| told.contains(&session.number));
                let gone = gone.map(|(name, session)| (&**name, session)).collect();
                let path = beside(&part, self.manifest.next_part);
                let table = stored::table(&part.table)?;
                let parts = std::slice::from_ref(&part);
                Some(rewrite(table, &self.folder, parts, &gone, path, threads)?)
            };
            self.discard(part.path);
            if let (Some(rest), Some(slot)) = (rest, self.manifest.parts.get_mut(place)) {
                self.manifest.next_part += 1;
                *slot = Part { sessions, ..rest };
            }
        }
        self.manifest.parts.retain(|part| !tells(part));
        Ok(())
    }

    /// Makes one file of many small ones that are neighbours in the order of digestion.
    pub(super) fn merge(&mut self, threads: usize) -> Result<(), Error> {
        let mut folders: BTreeMap<(String, bool), Vec<Part>> = BTreeMap::new();
        for part in std::mem::take(&mut self.manifest.parts) {
            let folder = (folder_of(&part).to_owned(), part.sessions.is_empty());
            folders.entry(folder).or_default().push(part);
        }
        for parts in folders.into_values() {
            for run in runs(parts) {
                let [first, _, ..] = &*run else {
                    self.manifest.parts.extend(run);
                    continue;
                };
                let path = beside(first, self.manifest.next_part);
                self.manifest.next_part += 1;
                let table = stored::table(&first.table)?;
                let none = HashMap::new();
                let merged = rewrite(table, &self.folder, &run, &none, path, threads)?;
                let sessions = run.iter().flat_map(|part| part.sessions.clone()).collect();
                self.manifest.parts.push(Part { sessions, ..merged });
                run.into_iter().for_each(|part| self.discard(part.path));
            }
        }
        Ok(())
    }
}

/// The folder that a part lies in.
fn folder_of(part: &Part) -> &str {
    part.path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The path of a new part in the same folder.
fn beside(part: &Part, number: u64) -> String {
    path_in(folder_of(part), number)
}

/// The path of a part in a folder.
pub(super) fn path_in(folder: &str, number: u64) -> String {
    format!("{folder}/part-{number:08}.parquet")
}

/// Splits the parts of a folder into those that become one.
fn runs(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let small = parts.iter().map(|part| part.rows < LARGE_ROWS).collect::<Vec<_>>();
    let long = |run: &[bool]| run.first() == Some(&true) && run.len() >= PARTS_MAX;
    let long = small.chunk_by(|a, b| a == b).any(long);
    let mut runs: Vec<Vec<Part>> = Vec::new();
    let mut room = 0;
    for part in parts {
        let fits = long && part.rows < LARGE_ROWS && part.rows <= room;
        match runs.last_mut().filter(|_| fits) {
            Some(run) => {
                room -= part.rows;
                run.push(part);
            }
            None => {
                room = if part.rows < LARGE_ROWS { MERGED_ROWS_MAX - part.rows } else { 0 };
                runs.push(vec![part]);
            }
        }
    }
    runs
}
