//! Messages by type, in bounded memory: the types are the exchange's words.

use std::collections::BTreeMap;

/// So many types are counted apart.
const KINDS_MAX: usize = 100;
/// What the rest is counted as.
const OTHER: &str = "(other)";

/// How many messages there were of each type.
#[derive(Debug, Default)]
pub(super) struct Kinds(BTreeMap<String, u64>);

impl Kinds {
    pub(super) fn add(&mut self, kind: &str, count: u64) {
        if let Some(known) = self.0.get_mut(kind) {
            *known += count;
            return;
        }
        let kind = if self.0.len() < KINDS_MAX { kind } else { OTHER };
        *self.0.entry(kind.to_owned()).or_default() += count;
    }

    pub(super) fn extend(&mut self, more: &Self) {
        more.0.iter().for_each(|(kind, count)| self.add(kind, *count));
    }

    pub(super) const fn as_map(&self) -> &BTreeMap<String, u64> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_without_end_are_counted_together() {
        let mut all = Kinds::default();
        for talk in 0..3 {
            let mut kinds = Kinds::default();
            (0..500).for_each(|n| kinds.add(&format!("{talk}-{n}"), 2));
            kinds.add("0-0", 1);
            all.extend(&kinds);
        }
        let map = all.as_map();
        assert!(map.len() <= KINDS_MAX + 1, "{}", map.len());
        assert_eq!(map.values().sum::<u64>(), 3 * 1_001);
        assert_eq!(map["0-0"], 3);
    }
}
