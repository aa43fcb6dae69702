//! The counts and the digest that end a segment.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a whole segment holds before its last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Lines before the closing one.
    pub lines: u64,
    /// Lines that hold a frame.
    pub frames: u64,
    /// Bytes before the closing line.
    pub bytes: u64,
    /// SHA-256 of those bytes, in hex: `head -n -1 FILE | sha256sum` gives the same.
    pub sha256: String,
}

/// Counts and digests a segment's bytes as they pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Sealer {
    lines: u64,
    frames: u64,
    bytes: u64,
    digest: Sha256,
}

impl Sealer {
    pub(super) fn add(&mut self, bytes: &[u8], lines: u64, frames: u64) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.lines += lines;
        self.frames += frames;
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn seal(&self) -> Seal {
        let digest = self.digest.clone().finalize();
        Seal {
            lines: self.lines,
            frames: self.frames,
            bytes: self.bytes,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
