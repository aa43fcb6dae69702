//! Walking the sequences again, and what was said of them.

use std::collections::{BTreeSet, HashMap};

use super::Hole;
use crate::protocol::{Sequences, Step};

/// The sequences of one session, over all its segments.
#[derive(Default)]
pub(super) struct Walk {
    sequences: HashMap<u32, Sequences>,
    found: BTreeSet<(u32, u64, u64, u64)>,
    declared: BTreeSet<(u32, u64, u64, u64)>,
    /// Those of them after which the subscription had no frame yet, by connection and sid.
    last: HashMap<(u32, u64), Vec<(u64, u64)>>,
}

impl Walk {
    /// A connection begins, and its numbers with it.
    pub(super) fn connect(&mut self, conn: u32) {
        self.sequences.insert(conn, Sequences::from_start());
    }

    /// A subscription begins, and its numbers with it, also where its sid had others before.
    pub(super) fn subscribe(&mut self, conn: u32, sid: u64) {
        if let Some(sequences) = self.sequences.get_mut(&conn) {
            sequences.restart(sid, 0);
        }
    }

    /// Notes a hole that the recorder wrote down.
    pub(super) fn declare(&mut self, conn: u32, sid: u64, expected: u64, got: u64) {
        self.declared.insert((conn, sid, expected, got));
        self.last.entry((conn, sid)).or_default().push((expected, got));
    }

    /// Checks one frame's number; true if it had come before.
    pub(super) fn step(&mut self, conn: u32, (sid, seq): (u64, u64), kind: &str) -> bool {
        self.last.remove(&(conn, sid));
        let sequences = self.sequences.entry(conn).or_insert_with(Sequences::joined_late);
        match sequences.check(sid, seq) {
            Step::Next => false,
            Step::Gap { expected } => {
                self.found.insert((conn, sid, expected, seq));
                false
            }
            Step::Repeat { .. } => {
                // As the recorder does: the count may run anew, and a whole book may start it.
                if kind == "orderbook_snapshot" {
                    sequences.restart(sid, seq);
                }
                true
            }
        }
    }

    /// All holes, from whichever side they are known.
    pub(super) fn holes(self, session: &str) -> Vec<Hole> {
        let hole = |&(conn, sid, expected, got): &(u32, u64, u64, u64)| Hole {
            session: session.to_owned(),
            conn,
            sid,
            expected,
            got,
            found: self.found.contains(&(conn, sid, expected, got)),
            declared: self.declared.contains(&(conn, sid, expected, got)),
            last: self.last.get(&(conn, sid)).is_some_and(|holes| holes.contains(&(expected, got))),
        };
        self.found.union(&self.declared).map(hole).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_whose_number_had_come_starts_the_count_anew_as_when_it_was_recorded() {
        let (snapshot, delta) = ("orderbook_snapshot", "orderbook_delta");
        for (kind, found) in
            [(snapshot, vec![(1, 2, 2, 3), (1, 2, 3, 4)]), (delta, vec![(1, 2, 2, 3)])]
        {
            let mut walk = Walk::default();
            let steps = [(1, snapshot), (3, snapshot), (2, kind), (4, delta)];
            let repeats = steps.map(|(seq, kind)| walk.step(1, (2, seq), kind));
            assert_eq!(repeats, [false, false, true, false]);
            assert_eq!(walk.found.into_iter().collect::<Vec<_>>(), found);
        }
    }
}
