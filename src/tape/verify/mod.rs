//! Proving an archive: every digest and count is computed again, every sequence walked again, and
//! the holes that are found are compared with the holes that were declared.

mod proof;
mod walk;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use super::{Archive, Segment, Stamp};
pub use proof::{Hole, Proof, SegmentProof, SegmentState};
use segment::SegmentCheck;
use walk::Walk;

/// Reads every byte of an archive and checks all it says of itself. It may be recorded meanwhile:
/// a segment that has moved on since it was listed is read where it is. A file that cannot be
/// opened or read is damage of that segment.
pub fn verify(archive: &Archive, mut progress: impl FnMut(&SegmentProof)) -> Proof {
    let mut proof = Proof { foreign_files: archive.foreign.clone(), ..Proof::default() };
    let mut walks: BTreeMap<String, Walk> = BTreeMap::new();
    // Of each segment, whether another follows as far as its closing line tells.
    let mut numbers: BTreeMap<String, BTreeMap<u32, bool>> = BTreeMap::new();
    for segment in in_order(&archive.segments) {
        let mut check = SegmentCheck::of(segment);
        check.read(segment, &mut walks);
        if let (Some(session), Some(number)) = (check.proof.session.clone(), check.number) {
            let goes_on = check.seal.as_ref().is_some_and(|seal| !seal.end);
            let twice = format!("segment {number} of session {session} twice");
            if numbers.entry(session).or_default().insert(number, goes_on).is_some() {
                check.damaged(twice);
            }
        }
        progress(&check.proof);
        proof.segments.push(check.proof);
    }
    for (session, numbers) in numbers {
        let Some((&last, &goes_on)) = numbers.last_key_value() else { continue };
        for number in (0..last).filter(|number| !numbers.contains_key(number)) {
            proof.missing.push(format!("segment {number} of session {session}"));
        }
        if goes_on {
            proof.unended.push(format!(
                "session {session} has no end: its last segment {last} was rotated, later ones \
                 are missing or still being written"
            ));
        }
    }
    for (session, walk) in walks {
        proof.holes.extend(walk.holes(&session));
    }
    proof
}

/// The segments of each session by their numbers, at the place of its first: where the clock was
/// set back, a later one has an earlier time in its name.
fn in_order(segments: &[Segment]) -> Vec<&Segment> {
    let mut places = HashMap::new();
    let mut ordered: Vec<_> = segments.iter().enumerate().collect();
    ordered.sort_by_cached_key(|(place, segment)| match Stamp::parse(&segment.stem()) {
        Some((session, number)) => {
            (*places.entry(session.to_owned()).or_insert(*place), Some(number))
        }
        None => (*place, None),
    });
    ordered.into_iter().map(|(_, segment)| segment).collect()
}
