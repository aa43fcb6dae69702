//! A log folder and the segments in it.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::{OsStr, OsString},
    fs::{self, FileType},
    io::ErrorKind,
    iter,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Error, Reader, Stamp};

/// The segments of a log folder, in the order of their names.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The folder.
    pub folder: PathBuf,
    /// What can be read.
    pub segments: Vec<Segment>,
    /// What is left alone: files that are no segments by their name, and what cannot be looked
    /// into.
    pub foreign: Vec<PathBuf>,
}

/// One file of the tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The file.
    pub path: PathBuf,
    /// How far it has come.
    pub layout: Layout,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it was last written, in ns since the epoch.
    pub modified_ns: i64,
}

/// In what form a segment lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// `.jsonl`: being written, or left by a crash, or from another recorder.
    Open,
    /// `.sealed.jsonl`: whole.
    Sealed,
    /// `.jsonl.zst`: compressed.
    Compressed,
}

impl Layout {
    /// In the order in which a segment passes through them.
    const ALL: [Self; 3] = [Self::Open, Self::Sealed, Self::Compressed];

    const fn ending(self) -> &'static str {
        match self {
            Self::Open => ".jsonl",
            Self::Sealed => ".sealed.jsonl",
            Self::Compressed => ".jsonl.zst",
        }
    }
}

impl Segment {
    /// Opens the segment, also where it was sealed or compressed since it was listed: then the
    /// reader's path and [`Self::layout_of`] tell how far it has come.
    ///
    /// # Errors
    /// [`Error::Segment`] when it cannot be opened or is gone in every layout.
    pub fn open(&self) -> Result<Reader, Error> {
        self.open_at(0)
    }

    /// Like [`Self::open`], at an offset of the uncompressed text, which must start a line.
    ///
    /// # Errors
    /// As [`Self::open`], and where the segment is shorter.
    pub fn open_at(&self, offset: u64) -> Result<Reader, Error> {
        let mut result = Reader::open_at(&self.path, offset);
        for path in self.later_paths() {
            if !result.as_ref().is_err_and(Error::is_not_found) {
                break;
            }
            result = Reader::open_at(&path, offset).or_else(|error| {
                // Where it is nowhere, the name that was listed says more.
                if error.is_not_found() { result } else { Err(error) }
            });
        }
        result
    }

    /// The layout that a file's name stands for.
    #[must_use]
    pub fn layout_of(path: &Path) -> Option<Layout> {
        split_name(path.file_name()?).map(|(_, layout)| layout)
    }

    /// The session and the number that the file's name tells, if it is named as ours are.
    #[must_use]
    pub fn name(&self) -> Option<(String, u32)> {
        Self::name_of(&self.path)
    }

    /// The session and the number that the name of a file tells, if it is named as ours are.
    #[must_use]
    pub fn name_of(path: &Path) -> Option<(String, u32)> {
        let (stem, _) = split_name(path.file_name()?)?;
        let (session, number) = Stamp::parse(stem)?;
        Some((session.to_owned(), number))
    }

    /// Where the segment is found once it has moved on. It only ever goes forward, so whoever
    /// looks in this order finds it, however fast it goes.
    fn later_paths(&self) -> impl Iterator<Item = PathBuf> {
        let later = Layout::ALL.into_iter().filter(|layout| *layout > self.layout);
        later.map(|layout| self.path.with_file_name(self.stem() + layout.ending()))
    }

    /// Looks at a listed file, also where it was sealed or compressed since; `None` where it was
    /// removed, and the path as an error where it cannot be looked at.
    fn look(path: PathBuf, layout: Layout) -> Result<Option<Self>, PathBuf> {
        let listed = Self { path, layout, bytes: 0, modified_ns: 0 };
        for path in iter::once(listed.path.clone()).chain(listed.later_paths()) {
            match fs::metadata(&path) {
                Ok(status) if status.is_file() => {
                    let layout = Self::layout_of(&path).unwrap_or(layout);
                    let (bytes, modified_ns) = (status.len(), modified_ns(&status));
                    return Ok(Some(Self { path, layout, bytes, modified_ns }));
                }
                // A link to nowhere has not moved, it is broken: opening it will say so.
                Err(_) if path.is_symlink() => return Ok(Some(Self { path, ..listed })),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Ok(_) | Err(_) => return Err(path),
            }
        }
        Ok(None)
    }

    /// The file's name without its endings: what a segment is called in every layout.
    #[must_use]
    pub fn stem(&self) -> String {
        Self::stem_of(&self.path)
    }

    /// The name of a file without the endings of a segment; empty where it has none.
    #[must_use]
    pub fn stem_of(path: &Path) -> String {
        let name = path.file_name().and_then(split_name);
        name.map(|(stem, _)| stem.to_owned()).unwrap_or_default()
    }
}

impl Archive {
    /// Lists a log folder and the folders in it, but for the lake and hidden ones.
    ///
    /// Where a segment lies in two layouts, as after a crash while compressing, the further one
    /// counts. A single file may be given in place of a folder. Segments may be begun, sealed and
    /// compressed meanwhile.
    ///
    /// # Errors
    /// [`Error::NoFolder`] and [`Error::Folder`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        if !folder.exists() {
            return Err(Error::NoFolder(folder.to_owned()));
        }
        let mut names = Names::of(folder)?;
        // A file that is renamed while its folder is listed may be listed under neither name.
        for _ in 1..LISTINGS_MAX {
            if names.are_settled(SystemTime::from(jiff::Timestamp::now())) {
                break;
            }
            let again = Names::of(folder)?;
            let settled = again.are_those_of(&names);
            names.renew(again);
            if settled {
                break;
            }
        }
        Ok(names.look(folder))
    }

    /// Bytes on disk of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// So often a folder is listed until two listings agree.
const LISTINGS_MAX: usize = 50;

/// In a folder that was not changed for so long, nothing is being renamed; more than clocks differ.
const SETTLED: Duration = Duration::from_secs(60);

/// The names that one walk through a folder meets. What they stand for is looked at once they are
/// known, as that costs most.
#[derive(Default)]
struct Names {
    /// The segments of each folder that was listed, by stem.
    folders: BTreeMap<PathBuf, BTreeMap<String, Layout>>,
    foreign: Vec<PathBuf>,
}

impl Names {
    fn of(folder: &Path) -> Result<Self, Error> {
        let mut names = Self::default();
        // Last, so that what is reached in two ways has its own name; and a circle has an end.
        let mut linked = vec![folder.to_owned()];
        let mut pending = Vec::new();
        let mut listed = HashSet::new();
        loop {
            let (path, real) = if let Some(next) = pending.pop() {
                next
            } else if let Some(path) = linked.pop() {
                match fs::metadata(&path) {
                    Ok(status) if status.is_dir() => {}
                    // A pipe that nobody writes to would be waited for without end.
                    Ok(status) if !status.is_file() => {
                        names.foreign.push(path);
                        continue;
                    }
                    // A link to nowhere, too: opening it will say so.
                    Ok(_) | Err(_) => {
                        names.add(path);
                        continue;
                    }
                }
                match fs::canonicalize(&path) {
                    Ok(real) => (path, real),
                    Err(error) if path == folder => {
                        return Err(Error::folder("look into", &path, error));
                    }
                    Err(_) => {
                        names.foreign.push(path);
                        continue;
                    }
                }
            } else {
                return Ok(names);
            };
            if !listed.insert(real.clone()) {
                continue;
            }
            let entries = match entries(&path) {
                Ok(entries) => entries,
                Err(error) if path == folder => return Err(error),
                // Such as `lost+found`: the others are no worse for it.
                Err(_) => {
                    names.foreign.push(path);
                    continue;
                }
            };
            let mut stems = BTreeMap::new();
            for (name, kind) in entries {
                match (kind, split_name(&name)) {
                    (Some(kind), _) if kind.is_dir() => {
                        pending.push((path.join(&name), real.join(&name)));
                    }
                    (Some(kind), Some((stem, layout))) if kind.is_file() => {
                        further(&mut stems, stem, layout);
                    }
                    (Some(kind), _) if !kind.is_symlink() => names.foreign.push(path.join(name)),
                    (Some(_) | None, _) => linked.push(path.join(name)),
                }
            }
            names.folders.insert(path, stems);
        }
    }

    fn add(&mut self, path: PathBuf) {
        match (path.parent(), path.file_name().and_then(split_name)) {
            (Some(folder), Some((stem, layout))) => {
                further(self.folders.entry(folder.to_owned()).or_default(), stem, layout);
            }
            _ => self.foreign.push(path),
        }
    }

    /// Whether no folder was changed while it was listed, nor just before.
    fn are_settled(&self, now: SystemTime) -> bool {
        let settled = |folder: &PathBuf| {
            let changed = fs::metadata(folder).and_then(|status| status.modified()).ok();
            changed.and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age > SETTLED)
        };
        self.folders.keys().all(settled)
    }

    /// Whether two walks have met the same segments, in whatever layout.
    fn are_those_of(&self, other: &Self) -> bool {
        let mut folders = self.folders.iter().zip(&other.folders);
        self.folders.len() == other.folders.len()
            && folders.all(|(mine, other)| mine.0 == other.0 && mine.1.keys().eq(other.1.keys()))
    }

    /// Takes a later walk's place, and keeps what that one missed.
    fn renew(&mut self, later: Self) {
        let before = std::mem::replace(self, later);
        for (folder, stems) in before.folders {
            let known = self.folders.entry(folder).or_default();
            for (stem, layout) in stems {
                further(known, &stem, layout);
            }
        }
    }

    /// What the names stand for by now.
    fn look(self, folder: &Path) -> Archive {
        let (mut segments, mut foreign) = (Vec::new(), self.foreign);
        for (folder, stems) in self.folders {
            for (stem, layout) in stems {
                let path = folder.join(stem + layout.ending());
                match Segment::look(path, layout) {
                    Ok(segment) => segments.extend(segment),
                    Err(path) => foreign.push(path),
                }
            }
        }
        foreign.sort();
        Archive { folder: folder.to_owned(), segments, foreign }
    }
}

/// Of two layouts of a segment, the further one counts.
fn further(stems: &mut BTreeMap<String, Layout>, stem: &str, layout: Layout) {
    match stems.get_mut(stem) {
        Some(known) => *known = layout.max(*known),
        None => drop(stems.insert(stem.to_owned(), layout)),
    }
}

/// What a folder holds, but for what is left alone without a word; and of what kind each is, where
/// the folder tells.
fn entries(folder: &Path) -> Result<Vec<(OsString, Option<FileType>)>, Error> {
    let fail = |e| Error::folder("list", folder, e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && name != "lake" {
            entries.push((name, entry.file_type().ok()));
        }
    }
    Ok(entries)
}

/// When a file was last written, in ns since the epoch.
pub(crate) fn modified_ns(status: &fs::Metadata) -> i64 {
    let modified = status.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    i64::try_from(modified.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}

fn split_name(name: &OsStr) -> Option<(&str, Layout)> {
    let name = name.to_str()?;
    // `.sealed.jsonl` before `.jsonl`.
    for layout in [Layout::Sealed, Layout::Compressed, Layout::Open] {
        if let Some(stem) = name.strip_suffix(layout.ending()) {
            return (!stem.is_empty()).then_some((stem, layout));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found_once_and_the_rest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for dir in ["2026-11-22", "lake/bbo", ".hidden"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        for name in [
            "2026-11-22/b-0001.jsonl",
            "2026-11-22/b-0000.sealed.jsonl",
            "2026-11-22/b-0000.jsonl.zst",
            "2026-11-22/b-0000.jsonl.zst.tmp",
            "KXA-1.5.jsonl",
            "notes.txt",
            "lake/bbo/x.jsonl",
            ".hidden/x.jsonl",
        ] {
            fs::write(at(name), "x").unwrap();
        }
        let archive = Archive::open(folder.path()).unwrap();
        let names: Vec<_> = archive.segments.iter().map(|s| (s.stem(), s.layout)).collect();
        assert_eq!(
            names,
            [
                ("KXA-1.5".into(), Layout::Open),
                ("b-0000".into(), Layout::Compressed),
                ("b-0001".into(), Layout::Open),
            ]
        );
        assert_eq!(archive.foreign, [at("2026-11-22/b-0000.jsonl.zst.tmp"), at("notes.txt")]);
        assert!(matches!(Archive::open(at("nowhere")), Err(Error::NoFolder(_))));
    }

    #[test]
    fn what_one_listing_missed_is_kept_where_it_is_now_or_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"] {
            fs::write(at(name), name).unwrap();
        }
        let mut names = Names::of(folder.path()).unwrap();
        for (from, to) in [("b.jsonl", "b.sealed.jsonl"), ("c.jsonl", "c.jsonl.zst")] {
            fs::rename(at(from), at(to)).unwrap();
        }
        fs::remove_file(at("d.jsonl")).unwrap();
        names.renew(Names::default());
        let found = names.look(folder.path()).segments;
        let found: Vec<_> = found.iter().map(|s| (s.stem(), s.layout)).collect();
        assert_eq!(
            found,
            [
                ("a".into(), Layout::Open),
                ("b".into(), Layout::Sealed),
                ("c".into(), Layout::Compressed),
            ]
        );
    }

    #[test]
    fn only_folders_that_were_left_alone_for_a_while_are_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("day");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a.jsonl"), "").unwrap();
        let now = SystemTime::from(jiff::Timestamp::now());
        let are_settled = || Names::of(folder.path()).unwrap().are_settled(now);
        let change = |folder: &Path, at| fs::File::open(folder).unwrap().set_modified(at).unwrap();
        assert!(!are_settled());
        let before = now - 2 * SETTLED;
        change(folder.path(), before);
        assert!(!are_settled());
        change(&inner, before);
        assert!(are_settled());
        change(&inner, now + 2 * SETTLED);
        assert!(!are_settled(), "clocks that differ");
    }

    #[cfg(unix)]
    fn names(archive: &Archive) -> Vec<String> {
        let name = |path: &Path| path.strip_prefix(&archive.folder).unwrap().display().to_string();
        archive.segments.iter().map(|s| name(&s.path)).collect()
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_a_segment_that_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (to, link) in [("nowhere", "a.jsonl"), ("b.jsonl", "b.jsonl"), ("loop", "loop")] {
            std::os::unix::fs::symlink(to, at(link)).unwrap();
        }
        fs::write(at("c.jsonl"), "{}\n").unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        assert_eq!(names(&archive), ["a.jsonl", "b.jsonl", "c.jsonl"]);
        assert_eq!(archive.foreign, [at("loop")]);
        let opened: Vec<_> = archive.segments.iter().map(|s| s.open().is_ok()).collect();
        assert_eq!(opened, [false, false, true]);
    }

    #[cfg(unix)]
    #[test]
    fn folders_that_are_linked_in_circles_are_listed_once_under_their_own_names() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("day")).unwrap();
        fs::write(at("day/a.jsonl"), "").unwrap();
        fs::write(elsewhere.path().join("b.jsonl"), "").unwrap();
        for link in ["0", "1", "day/2", "day/3"] {
            symlink(folder.path(), at(link)).unwrap();
        }
        symlink(at("day"), at("another-day")).unwrap();
        symlink(elsewhere.path(), at("elsewhere")).unwrap();
        symlink(at("day/a.jsonl"), at("c.jsonl")).unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        assert_eq!(names(&archive), ["c.jsonl", "day/a.jsonl", "elsewhere/b.jsonl"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_looked_into_costs_no_other_segment() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.jsonl"), "").unwrap();
        // Nobody may look at a path this long, not even who may look at all else.
        let deep = vec!["d".repeat(200); 12].join("/");
        for top in ["b", "c"] {
            fs::create_dir_all(at(top).join(&deep)).unwrap();
        }
        let below = at("b").join(&deep).join("c");
        fs::rename(at("c"), &below).unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        assert_eq!(names(&archive), ["a.jsonl"]);
        assert!(matches!(&*archive.foreign, [path] if path.starts_with(below)), "{archive:?}");
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_folders_that_are_named_as_segments_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(at("a.jsonl")).status().unwrap();
        assert!(made.success());
        fs::create_dir(at("b.jsonl")).unwrap();
        fs::write(at("b.jsonl/c.jsonl"), "").unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        assert_eq!(names(&archive), ["b.jsonl/c.jsonl"]);
        assert_eq!(archive.foreign, [at("a.jsonl")]);
    }
}
