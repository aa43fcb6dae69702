//! What a lake holds: one small file, replaced as a whole, that makes a digestion valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::Error;
use crate::tape::{Segment, modified_ns};

/// The version of everything under the lake's folder. Another one is built anew.
const FORMAT: u32 = 6;
const NAME: &str = "manifest.json";

/// What a lake holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    pub(super) next_part: u64,
    pub(super) next_session: u32,
    /// The log folder, where that is not the folder that the lake lies in.
    pub(super) logs: Option<PathBuf>,
    /// What was digested, by the path within the log folder.
    pub(super) files: BTreeMap<String, Known>,
    /// Why a file could not be read to its end.
    pub(super) damages: BTreeMap<String, String>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// Those of a table and day in the order in which their rows were digested.
    pub(super) parts: Vec<Part>,
    /// Files that no newer reader needs, and since when.
    pub(super) garbage: Vec<(String, i64)>,
}

/// A file of the log folder, as it was digested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) stat: Stat,
    pub(super) session: String,
}

/// What tells whether a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat {
    pub(super) bytes: u64,
    pub(super) modified_ns: i64,
}

/// How far a session is digested.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) number: u32,
    /// The segments digested, the last perhaps in part.
    pub(super) segments: BTreeSet<u32>,
    /// Where the last one goes on, in its uncompressed text.
    pub(super) offset: u64,
    pub(super) line: u64,
    /// The last line digested there.
    pub(super) mark: Option<Mark>,
    /// What the digester knew there.
    pub(super) state: String,
    /// Oddities met so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) oddities: u64,
}

impl Session {
    /// Whether another one was digested up to the same line; not known of compressed ones.
    pub(super) fn ends_as(&self, other: &Self) -> bool {
        let is_known = self.mark.as_ref().is_some_and(|mark| !mark.xxh128.is_empty());
        is_known && (self.line, &self.mark) == (other.line, &other.mark)
    }
}

/// A line that tells a file that has grown from one that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) xxh128: String,
}

/// A file of rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) table: String,
    /// Within the lake's folder.
    pub(super) path: String,
    pub(super) stat: Stat,
    pub(super) rows: u64,
    /// XXH3-128 of the file.
    pub(super) xxh128: String,
    /// The numbers of sessions of which it tells as a whole; none where rows are for good.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) sessions: BTreeSet<u32>,
}

impl Part {
    /// Whether the file is there and as it was written. Its content is looked at only where its
    /// date says that something has touched it.
    pub(super) fn is_sound(&self, lake: &Path) -> bool {
        match Stat::of(&lake.join(&self.path)) {
            Ok(stat) if stat == self.stat => true,
            Ok(stat) if stat.bytes == self.stat.bytes => self.is_intact(lake),
            _ => false,
        }
    }

    /// Whether the file's content is as it was written.
    pub(super) fn is_intact(&self, lake: &Path) -> bool {
        self.has_digest_of(&lake.join(&self.path))
    }

    /// Whether a file has the content that was written.
    pub(super) fn has_digest_of(&self, file: &Path) -> bool {
        let read = || {
            let mut file = fs::File::open(file)?;
            let (mut hash, mut buffer) = (Xxh3::new(), vec![0; 1 << 20]);
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(hash.digest128()),
                    read => hash.update(buffer.get(..read).unwrap_or_default()),
                }
            }
        };
        let digest: std::io::Result<u128> = read();
        digest.is_ok_and(|digest| format!("{digest:032x}") == self.xxh128)
    }
}

impl Stat {
    /// Of a file that could not be opened: none has it, so that it is tried again.
    pub(super) const UNREAD: Self = Self { bytes: 0, modified_ns: i64::MIN };

    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let status = fs::metadata(path)?;
        Ok(Self { bytes: status.len(), modified_ns: modified_ns(&status) })
    }

    /// As the segment was listed.
    pub(super) const fn of_segment(segment: &Segment) -> Self {
        Self { bytes: segment.bytes, modified_ns: segment.modified_ns }
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            format: FORMAT,
            next_part: 1,
            next_session: 1,
            logs: None,
            files: BTreeMap::new(),
            damages: BTreeMap::new(),
            sessions: BTreeMap::new(),
            parts: Vec::new(),
            garbage: Vec::new(),
        }
    }
}

impl Manifest {
    /// A manifest of nothing, that goes on where this one ends: its files are for older readers.
    pub(super) fn renewed(&self) -> Self {
        let now_ns = now_ns();
        let (next_part, next_session) = (self.next_part, self.next_session);
        let parts = self.parts.iter().map(|part| (part.path.clone(), now_ns));
        let garbage = self.garbage.iter().cloned().chain(parts).collect();
        let logs = self.logs.clone();
        Self { next_part, next_session, garbage, logs, ..Self::default() }
    }

    /// Reads the manifest of a lake; `None` where there is none of this format.
    pub(super) fn read(lake: &Path) -> Option<Self> {
        let text = fs::read(lake.join(NAME)).ok()?;
        let manifest: Self = serde_json::from_slice(&text).ok()?;
        (manifest.format == FORMAT).then_some(manifest)
    }

    /// Makes this the manifest of the lake, at once and for good.
    pub(super) fn write(&self, lake: &Path) -> Result<(), Error> {
        let path = lake.join(NAME);
        let temporary = lake.join(format!("{NAME}.tmp"));
        let write = || {
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| Error::file("write", &path, source))
    }

    /// The parts of a table.
    pub(super) fn of<'m>(&'m self, table: &'m str) -> impl Iterator<Item = &'m Part> {
        self.parts.iter().filter(move |part| part.table == table)
    }

    /// Files that belong to the lake, within its folder.
    pub(super) fn owned(&self) -> BTreeSet<PathBuf> {
        let parts = self.parts.iter().map(|part| part.path.as_str());
        let states = self.sessions.values().map(|session| session.state.as_str());
        let garbage = self.garbage.iter().map(|(path, _)| path.as_str());
        parts.chain(states).chain(garbage).chain([NAME]).map(PathBuf::from).collect()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's way to ask")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The time by which garbage ages.
pub(super) fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
