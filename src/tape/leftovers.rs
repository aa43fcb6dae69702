//! What a recorder that was killed did not bring to its end.

use std::path::{Path, PathBuf};

use super::{Archive, Error, Layout, Stamp};

/// Segments between two of their layouts, of which nothing is lost. An open file is not among them:
/// it may be written just now, and reads as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Sealed and not compressed, or compressed and not yet removed.
    pub sealed: Vec<PathBuf>,
    /// Copies that were begun, of segments that are no longer there.
    pub partial_copies: Vec<PathBuf>,
}

impl Leftovers {
    /// Looks through a log folder. What another recorder is busy with may be among them.
    ///
    /// # Errors
    /// Those of [`Archive::open`].
    pub fn of(folder: &Path) -> Result<Self, Error> {
        let archive = Archive::open(folder)?;
        let mut sealed = Vec::new();
        for segment in archive.segments {
            let original = segment.path.with_file_name(segment.stem() + ".sealed.jsonl");
            let left = match segment.layout {
                Layout::Open => false,
                Layout::Sealed => true,
                Layout::Compressed => original.exists(),
            };
            if left && Stamp::parse(&segment.stem()).is_some() {
                sealed.push(original);
            }
        }
        let mut partial_copies = archive.foreign;
        // One that belongs to a sealed segment is replaced when that is compressed.
        partial_copies.retain(|copy| {
            let name = copy.file_name().unwrap_or_default().to_string_lossy();
            name.strip_suffix(".jsonl.zst.tmp").is_some_and(|stem| {
                let original = copy.with_file_name(format!("{stem}.sealed.jsonl"));
                Stamp::parse(stem).is_some() && !original.exists()
            })
        });
        Ok(Self { sealed, partial_copies })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_stands_between_two_layouts_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let own =
            |n: u32, ending: &str| at(&format!("20261122T144343Z-3f9a1c07be52-000{n}{ending}"));
        for file in [
            own(0, ".jsonl"),
            own(1, ".sealed.jsonl"),
            own(1, ".jsonl.zst.tmp"),
            own(2, ".sealed.jsonl"),
            own(2, ".jsonl.zst"),
            own(3, ".jsonl.zst"),
            own(4, ".jsonl.zst.tmp"),
            at("KXA.sealed.jsonl"),
            at("KXA-1.jsonl.zst.tmp"),
        ] {
            fs::write(file, "x").unwrap();
        }
        let expected = Leftovers {
            sealed: vec![own(1, ".sealed.jsonl"), own(2, ".sealed.jsonl")],
            partial_copies: vec![own(4, ".jsonl.zst.tmp")],
        };
        assert_eq!(Leftovers::of(folder.path()).unwrap(), expected);
    }
}
