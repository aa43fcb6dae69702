//! What verifying found out.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// What an archive is worth.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Proof {
    /// Each file, in the order read.
    pub segments: Vec<SegmentProof>,
    /// Jumps in sequence numbers, declared or not.
    pub holes: Vec<Hole>,
    /// Segments that are missing between others of their session.
    pub missing: Vec<String>,
    /// Sessions whose last segment is not their end. No damage: later segments may still be
    /// written, or they were removed, or the recorder did not yet mark the end.
    pub unended: Vec<String>,
    /// What was not read: files that are no segments by their name, and what cannot be looked into.
    pub foreign_files: Vec<PathBuf>,
}

/// What one segment is worth.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SegmentProof {
    /// The file.
    pub path: PathBuf,
    /// The session, where the file or its name tells it.
    pub session: Option<String>,
    /// Whether its last line proves the rest of it.
    pub state: SegmentState,
    /// Lines of any kind.
    pub lines: u64,
    /// Lines that hold a frame.
    pub frames: u64,
    /// Lines that hold an event.
    pub events: u64,
    /// Empty lines, which other recorders leave.
    pub blank: u64,
    /// A last line that was cut short.
    pub torn: u64,
    /// Numbers that had come before.
    pub repeats: u64,
    /// Uncompressed bytes.
    pub bytes: u64,
    /// What is wrong, with the line where it is, if it is in one.
    pub damage: Vec<String>,
}

/// How far a segment is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// Counts and digest are as its last line says.
    Proven,
    /// Not closed: being written, left by a crash, or of a recorder that does not seal.
    #[default]
    Open,
    /// Not what its last line says, or not readable to its end.
    Damaged,
}

/// Frames of one subscription that are not in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// The session, or the file's name where there is none.
    pub session: String,
    /// The connection.
    pub conn: u32,
    /// The subscription.
    pub sid: u64,
    /// The first number that is missing.
    pub expected: u64,
    /// The number that came instead.
    pub got: u64,
    /// Whether walking the sequence shows it.
    pub found: bool,
    /// Whether the recorder wrote it down.
    pub declared: bool,
    /// Whether it was written down and the subscription has no frame after that, as when a crash
    /// cut the file there. The recording then neither shows the hole nor speaks against it.
    pub last: bool,
}

impl Proof {
    /// Whether anything is wrong that the recorder did not itself declare: a digest, a count, an
    /// unreadable line, a segment that is missing or there twice, or a hole found and not declared
    /// (or the reverse) in a recording that declares its holes.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.missing.is_empty()
            || self.segments.iter().any(|segment| !segment.damage.is_empty())
            || self.holes.iter().any(|hole| self.contradicts(hole))
    }

    /// Whether a hole is known from one side only, in a session that declares its holes.
    #[must_use]
    pub fn contradicts(&self, hole: &Hole) -> bool {
        let ours = self.segments.iter().any(|s| s.session.as_deref() == Some(&*hole.session));
        ours && hole.found != hole.declared && !hole.last
    }
}

impl fmt::Display for SegmentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Proven => "proven",
            Self::Open => "open",
            Self::Damaged => "damaged",
        })
    }
}
