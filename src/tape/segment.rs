//! Writing one segment: created new, appended to, sealed by a rename.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
    /// The session and the number in a segment's name without its ending, if the name is one of
    /// ours: `20261122T144343Z-3f9a1c07be52-0000`.
    pub(super) fn parse(stem: &str) -> Option<(&str, u32)> {
        let mut parts = stem.split('-');
        let (start, session, number) = (parts.next()?, parts.next()?, parts.next()?);
        let (day, time) = start.strip_suffix('Z')?.split_once('T')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let ours = parts.next().is_none()
            && (day.len(), time.len(), session.len()) == (8, 6, 12)
            && number.len() >= 4
            && [day, time, number].into_iter().all(digits)
            && session.bytes().all(hex);
        if ours { Some((session, number.parse().ok()?)) } else { None }
    }

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
/// platter: see [`SegmentSync`]).
#[derive(Debug)]
pub struct SegmentWriter {
    stem: PathBuf,
    path: PathBuf,
    file: Arc<File>,
    sealer: Sealer,
    /// The same count, for [`SegmentSync`].
    appended: Arc<AtomicU64>,
    unsynced_folders: Vec<PathBuf>,
}

/// What of an open segment waits for the disk. It may be used by another thread than the writer's,
/// so that no writing waits with it.
#[derive(Debug)]
pub struct SegmentSync {
    path: PathBuf,
    file: Arc<File>,
    appended: Arc<AtomicU64>,
    synced: u64,
    /// Folders whose new entry a power cut would take.
    unsynced_folders: Vec<PathBuf>,
}

impl SegmentSync {
    /// Waits until what was appended survives a power cut, and makes sure that the file is still
    /// where it was: writing to a removed file succeeds and keeps nothing.
    ///
    /// # Errors
    /// [`Error::Segment`] and [`Error::Folder`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.sync_folders()?;
        let appended = self.appended_lines();
        if appended > self.synced {
            self.file.sync_data().map_err(|e| Error::segment("sync", &self.path, e))?;
            self.synced = appended;
        }
        fs::metadata(&self.path).map(drop).map_err(|e| Error::segment("sync", &self.path, e))
    }

    /// Waits until the file's name survives a power cut, as [`Self::sync`] does too; sealing then
    /// syncs the rest.
    ///
    /// # Errors
    /// [`Error::Folder`].
    pub fn sync_folders(&mut self) -> Result<(), Error> {
        for folder in std::mem::take(&mut self.unsynced_folders) {
            sync_folder(&folder)?;
        }
        Ok(())
    }

    /// Lines that survive a power cut.
    #[must_use]
    pub const fn synced_lines(&self) -> u64 {
        self.synced
    }

    /// Lines in the file.
    #[must_use]
    pub fn appended_lines(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }
}

impl SegmentWriter {
    /// Creates a new file for the segment; an existing one is never touched. Its name survives a
    /// power cut after the first sync.
    ///
    /// # Errors
    /// [`Error`] when the folder or the file cannot be made.
    pub fn create(folder: &Path, stamp: &Stamp) -> Result<Self, Error> {
        let stem = folder.join(stamp.path());
        let day = stem.parent().unwrap_or(folder);
        let mut unsynced_folders: Vec<_> =
            parents_to_make(day).into_iter().map(Path::to_owned).collect();
        fs::create_dir_all(day).map_err(|e| Error::folder("create", day, e))?;
        unsynced_folders.push(day.to_owned());
        let path = with_ending(&stem, ".jsonl");
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| Error::segment("create", &path, e))?;
        Ok(Self {
            stem,
            path,
            file: Arc::new(file),
            sealer: Sealer::default(),
            appended: Arc::default(),
            unsynced_folders,
        })
    }

    /// The syncing side, which also takes over the syncing of the folders.
    pub fn syncer(&mut self) -> SegmentSync {
        SegmentSync {
            path: self.path.clone(),
            file: Arc::clone(&self.file),
            appended: Arc::clone(&self.appended),
            synced: 0,
            unsynced_folders: std::mem::take(&mut self.unsynced_folders),
        }
    }

    /// Appends whole lines, `frames` of which hold a frame.
    ///
    /// # Errors
    /// [`Error::Segment`]; then the file may end in a torn line and must not be written on.
    pub fn append(&mut self, bytes: &[u8], lines: u64, frames: u64) -> Result<(), Error> {
        (&*self.file).write_all(bytes).map_err(|e| Error::segment("write", &self.path, e))?;
        self.sealer.add(bytes, lines, frames);
        self.appended.store(self.sealer.lines(), Ordering::Release);
        Ok(())
    }

    /// Writes the closing line, syncs, and renames the file to `.sealed.jsonl`. The session goes on
    /// in another segment.
    ///
    /// # Errors
    /// [`Error::Segment`]; the file then stays an open one, which reads up to where it is whole.
    pub fn seal(self, recv_ns: i64) -> Result<(PathBuf, Seal), Error> {
        self.close(recv_ns, false)
    }

    /// Like [`Self::seal`], for the session's last segment: its closing line says that no other
    /// follows.
    ///
    /// # Errors
    /// Those of [`Self::seal`].
    pub fn seal_last(self, recv_ns: i64) -> Result<(PathBuf, Seal), Error> {
        self.close(recv_ns, true)
    }

    fn close(self, recv_ns: i64, end: bool) -> Result<(PathBuf, Seal), Error> {
        let seal = Seal { end, ..self.sealer.seal() };
        let mut line = Vec::new();
        write_event(&mut line, recv_ns, None, &Event::Closed(seal.clone()));
        (&*self.file).write_all(&line).map_err(|e| Error::segment("write", &self.path, e))?;
        self.file.sync_all().map_err(|e| Error::segment("sync", &self.path, e))?;
        let sealed = with_ending(&self.stem, ".sealed.jsonl");
        fs::rename(&self.path, &sealed).map_err(|e| Error::segment("seal", &self.path, e))?;
        for folder in &self.unsynced_folders {
            sync_folder(folder)?;
        }
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

/// The folders that get a new entry when `folder` is made, the outermost first.
fn parents_to_make(folder: &Path) -> Vec<&Path> {
    let missing = folder.ancestors().take_while(|at| !at.as_os_str().is_empty() && !at.exists());
    let mut parents: Vec<_> = missing.filter_map(Path::parent).collect();
    parents.reverse();
    parents
}

/// Makes a new, renamed or removed entry of a folder survive a power cut.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    // Windows has no handle to a folder that could be synced.
    if cfg!(windows) {
        return Ok(());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
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

    #[test]
    fn only_the_last_closing_line_ends_the_session() {
        let folder = tempfile::tempdir().unwrap();
        let first = SegmentWriter::create(folder.path(), &stamp(0)).unwrap();
        let (path, seal) = first.seal(1).unwrap();
        assert!(!seal.end);
        assert!(!fs::read_to_string(path).unwrap().contains("end"));
        let last = SegmentWriter::create(folder.path(), &stamp(1)).unwrap();
        let (path, seal) = last.seal_last(1).unwrap();
        assert!(fs::read_to_string(path).unwrap().ends_with(",\"end\":true}\n"));
        assert!(seal.end);
    }

    #[test]
    fn our_names_are_told_from_others() {
        let own = stamp(12_345).path();
        let name = own.file_name().unwrap().to_str().unwrap();
        assert_eq!(Stamp::parse(name), Some(("3f9a1c07be52", 12_345)));
        for other in [
            "",
            "KXA-0001",
            "20261122T144343Z-3f9a1c07be52",
            "20261122T144343Z-3f9a1c07be52-001",
            "20261122T144343Z-3f9a1c07be5-0001",
            "2026112T144343Z-3f9a1c07be52-0001",
            "20261122T144343Z-3f9a1c07be52-0001-1",
            "20261122T144343Z-3f9a1c07be5g-0001",
            "20261122T144343-3f9a1c07be52-0001",
            "2026112ZT144343Z-3f9a1c07be52-0001",
            "20261122T144343Z-3f9a1c07be52-99999999999",
        ] {
            assert_eq!(Stamp::parse(other), None, "{other}");
        }
    }

    #[test]
    fn every_folder_with_a_new_entry_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(parents_to_make(folder.path()).is_empty());
        assert_eq!(parents_to_make(&at("day")), [folder.path()]);
        assert_eq!(parents_to_make(&at("a/b/day")), [folder.path(), &at("a"), &at("a/b")]);
        assert_eq!(
            parents_to_make(Path::new("no-such/day")),
            [Path::new(""), Path::new("no-such")]
        );
        sync_folder(Path::new("")).unwrap();
    }
}
