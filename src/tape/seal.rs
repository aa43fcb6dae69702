//! The counts and the digest that end a segment.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{Body, Event, Record};

/// What a whole segment holds before its last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Lines before the closing one.
    pub lines: u64,
    /// Lines that hold a frame.
    pub frames: u64,
    /// Bytes before the closing line.
    pub bytes: u64,
    /// XXH3 of those bytes, 128 bits in hex: `head -n -1 FILE | xxh128sum` gives the same. Finds
    /// any damage; it is no defence against somebody who forges a recording.
    pub xxh128: String,
    /// Whether the session ends here: no further segment of it was begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
}

/// More than a closing line has.
pub(super) const CLOSING_LINE_MAX: u64 = 4096;

impl Seal {
    /// The seal in the last line of an uncompressed segment.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where that is no whole closing line.
    pub(super) fn read(mut sealed: &File) -> io::Result<Self> {
        let bytes = sealed.metadata()?.len();
        sealed.seek(SeekFrom::Start(bytes.saturating_sub(CLOSING_LINE_MAX)))?;
        let mut tail = Vec::new();
        sealed.take(CLOSING_LINE_MAX).read_to_end(&mut tail)?;
        let closing = tail.strip_suffix(b"\n").and_then(|tail| {
            let line = tail.rsplit(|byte| *byte == b'\n').next()?;
            let Body::Event(event) = Record::parse(line).ok()?.body else { return None };
            if let Event::Closed(seal) = *event { Some(seal) } else { None }
        });
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "it has no closing line");
        closing.ok_or_else(missing)
    }
}

/// Counts and digests a segment's bytes as they pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Sealer {
    lines: u64,
    frames: u64,
    bytes: u64,
    digest: Digester,
}

/// XXH3-128 of what is written to it.
#[derive(Clone, Default)]
pub(super) struct Digester(Xxh3);

impl Digester {
    /// The digest so far, in hex.
    pub(super) fn hex(&self) -> String {
        format!("{:032x}", self.0.digest128())
    }
}

impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}

impl io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sealer {
    pub(super) fn add(&mut self, bytes: &[u8], lines: u64, frames: u64) {
        self.digest.0.update(bytes);
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
        Seal {
            lines: self.lines,
            frames: self.frames,
            bytes: self.bytes,
            xxh128: self.digest.hex(),
            end: false,
        }
    }
}
