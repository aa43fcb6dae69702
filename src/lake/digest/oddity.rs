//! What was odd in a session is kept with it: how often, and where first.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::lake::{
    report::{Example, SegmentReport},
    table::Rows,
};
use crate::tape::Segment;

/// A last line that was cut.
pub(super) const TORN: &str = "torn last line";

/// The oddities of a session, by kind.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Oddities {
    kinds: BTreeMap<String, Oddity>,
    /// Of the newest segment: the line is met again, whole or cut, if that one goes on.
    #[serde(skip)]
    torn: Option<Oddity>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Oddity {
    times: u64,
    /// The first file, by what it is called in every layout.
    segment: String,
    line: u64,
    example: String,
}

impl Oddities {
    /// Another segment comes: a line that was cut in the one before stays so.
    pub(super) fn next_segment(&mut self) {
        if let Some(torn) = self.torn.take() {
            self.add(TORN, torn);
        }
    }

    /// Takes over what was found in a segment, or in more of it.
    pub(super) fn take(&mut self, found: &SegmentReport) {
        for (kind, example) in &found.oddities {
            let oddity = Oddity::of(example, &found.path);
            if kind == TORN {
                self.torn = Some(oddity);
            } else {
                self.add(kind, oddity);
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        let all = self.kinds.values().chain(&self.torn);
        all.fold(0, |sum, oddity| sum.saturating_add(oddity.times))
    }

    fn add(&mut self, kind: &str, oddity: Oddity) {
        match self.kinds.get_mut(kind) {
            Some(known) => known.times = known.times.saturating_add(oddity.times),
            None => drop(self.kinds.insert(kind.to_owned(), oddity)),
        }
    }

    pub(super) fn write(&self, session: &str, rows: &mut Rows) {
        let torn = self.torn.iter().map(|torn| (TORN, torn));
        for (kind, oddity) in self.kinds.iter().map(|(kind, oddity)| (&**kind, oddity)).chain(torn)
        {
            let table = &mut rows.Oddities;
            table.session.push(Some(session));
            table.kind.push(Some(kind));
            table.times.push(i64::try_from(oddity.times).ok());
            table.segment.push(Some(&oddity.segment));
            table.line.push(i64::try_from(oddity.line).ok());
            table.example.push(Some(&*oddity.example).filter(|example| !example.is_empty()));
            table.end_row();
        }
    }
}

impl Oddity {
    fn of(example: &Example, path: &Path) -> Self {
        Self {
            times: example.count,
            segment: Segment::stem_of(path),
            line: example.line,
            example: example.reason.clone(),
        }
    }
}
