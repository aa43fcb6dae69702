//! The sequence rule: one counter a subscription, over all its markets and its replies.

use serde::{Deserialize, Serialize};

/// What a frame's number says about the frames before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The expected number.
    Next,
    /// `expected` and what follows up to this number were not seen: frames are missing, and they
    /// may belong to any market of the subscription.
    Gap {
        /// The number that should have come.
        expected: u64,
    },
    /// A number that was already passed: a duplicate or a reset.
    Repeat {
        /// The number that should have come.
        expected: u64,
    },
}

/// The last number of each subscription of one connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sequences {
    /// Subscription and last number. A connection has a handful, so a list beats a map.
    last: Vec<(u64, u64)>,
    joined_late: bool,
}

impl Sequences {
    /// For a connection seen from its start, where every subscription counts from 1.
    #[must_use]
    pub fn from_start() -> Self {
        Self::default()
    }

    /// For a connection whose first frames may not have been kept: the first number seen of each
    /// subscription is taken as it is.
    #[must_use]
    pub fn joined_late() -> Self {
        Self { joined_late: true, ..Self::default() }
    }

    /// Checks one frame, whatever its type. After a gap the new number counts; after a repeat the
    /// old one stays.
    pub fn check(&mut self, sid: u64, seq: u64) -> Step {
        let Some((_, last)) = self.last.iter_mut().find(|(known, _)| *known == sid) else {
            let before = if self.joined_late { seq.saturating_sub(1) } else { 0 };
            self.last.push((sid, before));
            return self.check(sid, seq);
        };
        let expected = last.saturating_add(1);
        if seq < expected {
            return Step::Repeat { expected };
        }
        *last = seq;
        if seq == expected { Step::Next } else { Step::Gap { expected } }
    }

    /// The subscription counts anew: its next number follows this one.
    pub fn restart(&mut self, sid: u64, seq: u64) {
        if let Some((_, last)) = self.last.iter_mut().find(|(known, _)| *known == sid) {
            *last = seq;
        }
    }

    /// The last number seen of a subscription.
    #[must_use]
    pub fn last(&self, sid: u64) -> Option<u64> {
        self.last.iter().find(|(known, _)| *known == sid).map(|(_, last)| *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_a_gap_and_a_step_back_a_repeat() {
        let mut sequences = Sequences::from_start();
        assert_eq!(sequences.check(1, 1), Step::Next);
        assert_eq!(sequences.check(1, 2), Step::Next);
        assert_eq!(sequences.check(2, 1), Step::Next);
        assert_eq!(sequences.check(1, 5), Step::Gap { expected: 3 });
        assert_eq!(sequences.check(1, 6), Step::Next);
        assert_eq!(sequences.check(1, 4), Step::Repeat { expected: 7 });
        assert_eq!(sequences.check(1, 6), Step::Repeat { expected: 7 });
        assert_eq!(sequences.check(1, 7), Step::Next);
        assert_eq!((sequences.last(1), sequences.last(3)), (Some(7), None));
    }

    #[test]
    fn a_start_that_was_not_seen_is_a_gap_only_when_it_should_have_been() {
        assert_eq!(Sequences::from_start().check(1, 3), Step::Gap { expected: 1 });
        assert_eq!(Sequences::joined_late().check(1, 3), Step::Next);
        assert_eq!(Sequences::joined_late().check(1, 0), Step::Repeat { expected: 1 });
    }
}
