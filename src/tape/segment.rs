//! Writing one segment: created new, appended to, sealed by a rename.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};

use super::{Error, Event, Seal, seal::Sealer, write_event};

/// What names a segment: when it starts, whose it is, and which of the session's it is.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// Start, ns since the epoch; its UTC day is the folder.
    pub start_ns: i64,
    /// The session's id.
    pub session: String,
    /// The number within the session, from 0.
    pub number: u32,
}

impl Stamp {
    /// `2026-11-22/20261122T144343Z-3f9a1c07be52-0000`, without an ending.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let start = Timestamp::from_nanosecond(i128::from(self.start_ns))
            .unwrap_or_default()
            .to_zoned(TimeZone::UTC);
        let name =
            format!("{}-{}-{:04}", start.strftime("%Y%m%dT%H%M%SZ"), self.session, self.number);
        PathBuf::from(start.strftime("%Y-%m-%d").to_string()).join(name)
    }
}

/// An open segment. Bytes given to it are in the file when the call returns (not yet on the
/// platter: see [`Self::sync`]).
#[derive(Debug)]
pub struct SegmentWriter {
    stem: PathBuf,
    path: PathBuf,
    file: File,
    sealer: Sealer,
}

impl SegmentWriter {
    /// Creates a new file for the segment; an existing one is never touched.
    ///
    /// # Errors
    /// [`Error`] when the folder or the file cannot be made.
    pub fn create(folder: &Path, stamp: &Stamp) -> Result<Self, Error> {
        let stem = folder.join(stamp.path());
        let day = stem.parent().unwrap_or(folder);
        fs::create_dir_all(day).map_err(|e| Error::folder("create", day, e))?;
        let path = with_ending(&stem, ".jsonl");
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| Error::segment("create", &path, e))?;
        sync_folder(day)?;
        Ok(Self { stem, path, file, sealer: Sealer::default() })
    }

    /// Appends whole lines, `frames` of which hold a frame.
    ///
    /// # Errors
    /// [`Error::Segment`]; then the file may end in a torn line and must not be written on.
    pub fn append(&mut self, bytes: &[u8], lines: u64, frames: u64) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| Error::segment("write", &self.path, e))?;
        self.sealer.add(bytes, lines, frames);
        Ok(())
    }

    /// Waits until what was appended survives a power cut, and makes sure that the file is still
    /// where it was: writing to a removed file succeeds and keeps nothing.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_data()
            .and_then(|()| fs::metadata(&self.path).map(drop))
            .map_err(|e| Error::segment("sync", &self.path, e))
    }

    /// Writes the closing line, syncs, and renames the file to `.sealed.jsonl`.
    ///
    /// # Errors
    /// [`Error::Segment`]; the file then stays an open one, which reads up to where it is whole.
    pub fn seal(mut self, recv_ns: i64) -> Result<(PathBuf, Seal), Error> {
        let seal = self.sealer.seal();
        let mut line = Vec::new();
        write_event(&mut line, recv_ns, None, &Event::Closed(seal.clone()));
        self.file.write_all(&line).map_err(|e| Error::segment("write", &self.path, e))?;
        self.file.sync_all().map_err(|e| Error::segment("sync", &self.path, e))?;
        let sealed = with_ending(&self.stem, ".sealed.jsonl");
        fs::rename(&self.path, &sealed).map_err(|e| Error::segment("seal", &self.path, e))?;
        if let Some(day) = sealed.parent() {
            sync_folder(day)?;
        }
        Ok((sealed, seal))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes appended so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.sealer.bytes()
    }

    /// Lines appended so far.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.sealer.lines()
    }
}

fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Makes a new or renamed entry of a folder survive a power cut.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    // Windows has no handle to a folder that could be synced.
    if cfg!(windows) {
        return Ok(());
    }
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::folder("sync", folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Archive, Body, Layout, Reader, Record, write_frame};

    fn stamp(number: u32) -> Stamp {
        Stamp { start_ns: 1_795_358_623_000_000_000, session: "3f9a1c07be52".into(), number }
    }

    #[test]
    fn a_sealed_segment_ends_in_its_own_counts_and_digest() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = SegmentWriter::create(folder.path(), &stamp(0)).unwrap();
        assert!(segment.path().ends_with("2026-11-22/20261122T144343Z-3f9a1c07be52-0000.jsonl"));
        let mut lines = Vec::new();
        write_frame(&mut lines, 1, 1, "{\"type\":\"a\"}");
        write_event(&mut lines, 2, Some(1), &Event::Clock { step_ns: -5 });
        segment.append(&lines, 2, 1).unwrap();
        let (path, seal) = segment.seal(3).unwrap();

        let mut reader = Reader::open(&path).unwrap();
        let mut last = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            last = line.bytes.to_vec();
        }
        let Body::Event(event) = Record::parse(&last).unwrap().body else { panic!() };
        let Event::Closed(found) = *event else { panic!("{event:?}") };
        assert_eq!((found.lines, found.frames, found.bytes), (2, 1, lines.len() as u64));
        assert_eq!(found, seal);
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole.get(..lines.len()), Some(&*lines));
        let archive = Archive::open(folder.path()).unwrap();
        assert_eq!(archive.segments.first().map(|s| s.layout), Some(Layout::Sealed));
    }

    #[test]
    fn an_existing_segment_is_never_opened_for_writing() {
        let folder = tempfile::tempdir().unwrap();
        let first = SegmentWriter::create(folder.path(), &stamp(0)).unwrap();
        let error = SegmentWriter::create(folder.path(), &stamp(0)).unwrap_err();
        assert!(error.to_string().starts_with("create log segment"), "{error}");
        drop(first);
        SegmentWriter::create(folder.path(), &stamp(1)).unwrap();
    }
}
