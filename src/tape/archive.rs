//! A log folder and the segments in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::Error;

/// The segments of a log folder, in the order of their names.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The folder.
    pub folder: PathBuf,
    /// What can be read.
    pub segments: Vec<Segment>,
    /// Files that are no segments by their name, left alone.
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

impl Segment {
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
    /// counts. A single file may be given in place of a folder.
    ///
    /// # Errors
    /// [`Error::NoFolder`] and [`Error::Folder`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        if !folder.exists() {
            return Err(Error::NoFolder(folder.to_owned()));
        }
        let mut found: BTreeMap<(PathBuf, String), Segment> = BTreeMap::new();
        let mut foreign = Vec::new();
        let mut pending = vec![folder.to_owned()];
        while let Some(path) = pending.pop() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let inside = path != folder;
            if inside && (name.starts_with('.') || name == "lake") {
                continue;
            }
            let status = fs::metadata(&path).map_err(|e| Error::folder("look into", &path, e))?;
            if status.is_dir() {
                let list = fs::read_dir(&path).map_err(|e| Error::folder("list", &path, e))?;
                for entry in list {
                    pending.push(entry.map_err(|e| Error::folder("list", &path, e))?.path());
                }
                continue;
            }
            let Some((stem, layout)) = split_name(&path) else {
                foreign.push(path);
                continue;
            };
            let key = (path.parent().map(Path::to_owned).unwrap_or_default(), stem);
            let segment = Segment { layout, bytes: status.len(), path };
            match found.get(&key) {
                Some(other) if other.layout > layout => {}
                _ => drop(found.insert(key, segment)),
            }
        }
        foreign.sort();
        Ok(Self { folder: folder.to_owned(), segments: found.into_values().collect(), foreign })
    }

    /// Bytes on disk of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

fn split_name(path: &Path) -> Option<(String, Layout)> {
    let name = path.file_name()?.to_str()?;
    for (ending, layout) in [
        (".sealed.jsonl", Layout::Sealed),
        (".jsonl.zst", Layout::Compressed),
        (".jsonl", Layout::Open),
    ] {
        if let Some(stem) = name.strip_suffix(ending) {
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
}
