//! A log folder and the segments in it.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
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
        split_name(path).map(|(_, layout)| layout)
    }

    /// The session and the number that the file's name tells, if it is named as ours are.
    #[must_use]
    pub fn name(&self) -> Option<(String, u32)> {
        Self::name_of(&self.path)
    }

    /// The session and the number that the name of a file tells, if it is named as ours are.
    #[must_use]
    pub fn name_of(path: &Path) -> Option<(String, u32)> {
        let (stem, _) = split_name(path)?;
        let (session, number) = Stamp::parse(&stem)?;
        Some((session.to_owned(), number))
    }

    /// Where the segment is found once it has moved on. It only ever goes forward, so whoever
    /// looks in this order finds it, however fast it goes.
    fn later_paths(&self) -> impl Iterator<Item = PathBuf> {
        let later = Layout::ALL.into_iter().filter(|layout| *layout > self.layout);
        later.map(|layout| self.path.with_file_name(self.stem() + layout.ending()))
    }

    /// The file's name without its endings: what a segment is called in every layout.
    #[must_use]
    pub fn stem(&self) -> String {
        split_name(&self.path).map(|(stem, _)| stem).unwrap_or_default()
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
        let mut listing = Listing::of(folder)?;
        // A file that is renamed while its folder is listed may be listed under neither name.
        for _ in 1..LISTINGS_MAX {
            let again = Listing::of(folder)?;
            let settled = again.segments.keys().eq(listing.segments.keys());
            listing.renew(again);
            if settled {
                break;
            }
        }
        listing.foreign.sort();
        Ok(Self {
            folder: folder.to_owned(),
            segments: listing.segments.into_values().collect(),
            foreign: listing.foreign,
        })
    }

    /// Bytes on disk of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// So often a folder is listed until two listings agree.
const LISTINGS_MAX: usize = 50;

/// What one walk through a folder sees.
#[derive(Default)]
struct Listing {
    /// By folder and stem.
    segments: BTreeMap<(PathBuf, String), Segment>,
    foreign: Vec<PathBuf>,
}

impl Listing {
    fn of(folder: &Path) -> Result<Self, Error> {
        let mut listing = Self::default();
        let mut pending = vec![folder.to_owned()];
        // Last, so that what is reached in two ways has its own name; and a circle has an end.
        let mut linked = Vec::new();
        let mut listed = HashSet::new();
        while let Some(path) = pending.pop().or_else(|| linked.pop()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let inside = path != folder;
            if inside && (name.starts_with('.') || name == "lake") {
                continue;
            }
            match fs::metadata(&path) {
                Ok(status) if status.is_dir() => match entries(&path, &mut listed) {
                    Ok(entries) => {
                        for (entry, link) in entries {
                            if link { &mut linked } else { &mut pending }.push(entry);
                        }
                    }
                    // Such as `lost+found`: the others are no worse for it.
                    Err(_) if inside => listing.foreign.push(path),
                    Err(error) => return Err(error),
                },
                // A pipe that nobody writes to would be waited for without end.
                Ok(status) if !status.is_file() => listing.foreign.push(path),
                Ok(status) => listing.add(path, status.len()),
                // A link to nowhere has not moved, it is broken: opening it will say so.
                Err(_) if path.is_symlink() => listing.add(path, 0),
                Err(e) if e.kind() == ErrorKind::NotFound => listing.add_moved(path),
                Err(_) if inside => listing.foreign.push(path),
                Err(e) => return Err(Error::folder("look into", &path, e)),
            }
        }
        Ok(listing)
    }

    fn add(&mut self, path: PathBuf, bytes: u64) {
        let Some((stem, layout)) = split_name(&path) else {
            self.foreign.push(path);
            return;
        };
        let key = (path.parent().map(Path::to_owned).unwrap_or_default(), stem);
        match self.segments.get(&key) {
            Some(other) if other.layout > layout => {}
            _ => drop(self.segments.insert(key, Segment { path, layout, bytes })),
        }
    }

    /// Adds a segment that was sealed or compressed since it was listed; one that was removed, and
    /// other files, are no longer there.
    fn add_moved(&mut self, path: PathBuf) {
        let Some(layout) = Segment::layout_of(&path) else { return };
        let listed = Segment { path, layout, bytes: 0 };
        for path in listed.later_paths() {
            match fs::metadata(&path) {
                Ok(status) => return self.add(path, status.len()),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(_) => return self.foreign.push(path),
            }
        }
    }

    /// Takes a later walk's place, and keeps what that one missed and is still there.
    fn renew(&mut self, later: Self) {
        let before = std::mem::replace(self, later);
        for (key, segment) in before.segments {
            if self.segments.contains_key(&key) {
                continue;
            }
            match fs::metadata(&segment.path) {
                Ok(status) => self.add(segment.path, status.len()),
                Err(_) => self.add_moved(segment.path),
            }
        }
    }
}

/// What a folder holds, and which of it are links; nothing where it was listed before, under another
/// name.
fn entries(folder: &Path, listed: &mut HashSet<PathBuf>) -> Result<Vec<(PathBuf, bool)>, Error> {
    let real = fs::canonicalize(folder).map_err(|e| Error::folder("look into", folder, e))?;
    if !listed.insert(real) {
        return Ok(Vec::new());
    }
    let fail = |e| Error::folder("list", folder, e);
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.map_err(fail)?;
        Ok((entry.path(), entry.file_type().is_ok_and(|kind| kind.is_symlink())))
    };
    fs::read_dir(folder).map_err(fail)?.map(entry).collect()
}

fn split_name(path: &Path) -> Option<(String, Layout)> {
    let name = path.file_name()?.to_str()?;
    // `.sealed.jsonl` before `.jsonl`.
    for layout in [Layout::Sealed, Layout::Compressed, Layout::Open] {
        if let Some(stem) = name.strip_suffix(layout.ending()) {
            return (!stem.is_empty()).then(|| (stem.to_owned(), layout));
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
        let mut listing = Listing::of(folder.path()).unwrap();
        for (from, to) in [("b.jsonl", "b.sealed.jsonl"), ("c.jsonl", "c.jsonl.zst")] {
            fs::rename(at(from), at(to)).unwrap();
        }
        fs::remove_file(at("d.jsonl")).unwrap();
        listing.renew(Listing::default());
        let found: Vec<_> = listing.segments.values().map(|s| (s.stem(), s.layout)).collect();
        assert_eq!(
            found,
            [
                ("a".into(), Layout::Open),
                ("b".into(), Layout::Sealed),
                ("c".into(), Layout::Compressed),
            ]
        );
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
