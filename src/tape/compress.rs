//! Compressing a sealed segment, and proving the copy before the original goes.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{Error, Seal, seal::Digester, segment::sync_folder};

const LEVEL: i32 = 3;

/// Compresses `X.sealed.jsonl` to `X.jsonl.zst` and removes it, after the copy was read back and
/// its digest found equal to the seal's. Interrupted at any point, one whole file remains.
///
/// # Errors
/// [`Error::Segment`]; the original is then still there.
pub fn compress(sealed: &Path, seal: &Seal) -> Result<PathBuf, Error> {
    let name = sealed.to_string_lossy();
    let stem = name.strip_suffix(".sealed.jsonl").unwrap_or(&name);
    let target = PathBuf::from(format!("{stem}.jsonl.zst"));
    let partial = PathBuf::from(format!("{stem}.jsonl.zst.tmp"));
    let done = write_copy(sealed, &partial)
        .and_then(|()| check_copy(&partial, seal))
        .and_then(|()| fs::rename(&partial, &target));
    if let Err(source) = done {
        if let Err(left) = fs::remove_file(&partial) {
            tracing::debug!(%left, path = %partial.display(), "partial copy not removed");
        }
        return Err(Error::segment("compress", sealed, source));
    }
    // The copy's name must survive a power cut before the original may go.
    let folder = target.parent().unwrap_or(Path::new(""));
    sync_folder(folder)?;
    fs::remove_file(sealed).map_err(|e| Error::segment("remove the original of", sealed, e))?;
    sync_folder(folder)?;
    Ok(target)
}

fn write_copy(sealed: &Path, partial: &Path) -> io::Result<()> {
    let mut source = File::open(sealed)?;
    let mut encoder = zstd::Encoder::new(File::create(partial)?, LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?.sync_all()
}

fn check_copy(partial: &Path, seal: &Seal) -> io::Result<()> {
    let mut decoder = BufReader::new(zstd::Decoder::new(File::open(partial)?)?);
    let mut digest = Digester::default();
    io::copy(&mut decoder.by_ref().take(seal.bytes), &mut digest)?;
    let mut closing_line = Vec::new();
    decoder.read_to_end(&mut closing_line)?;
    if digest.hex() == seal.xxh128 && closing_line.ends_with(b"}\n") {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the copy differs from the seal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Archive, Layout, SegmentWriter, Stamp, write_frame};

    fn sealed(folder: &Path) -> (PathBuf, Seal) {
        let stamp = Stamp { start_ns: 0, session: "3f9a1c07be52".into(), number: 0 };
        let mut segment = SegmentWriter::create(folder, &stamp).unwrap();
        let mut lines = Vec::new();
        for n in 0..1_000 {
            write_frame(&mut lines, n, 1, "{\"type\":\"a\"}");
        }
        segment.append(&lines, 1_000, 1_000).unwrap();
        segment.seal(1_000).unwrap()
    }

    #[test]
    fn the_copy_replaces_the_original_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (path, seal) = sealed(folder.path());
        let before = fs::read(&path).unwrap();
        let compressed = compress(&path, &seal).unwrap();
        assert_eq!(zstd::decode_all(File::open(&compressed).unwrap()).unwrap(), before);
        let archive = Archive::open(folder.path()).unwrap();
        let layouts: Vec<_> = archive.segments.iter().map(|s| s.layout).collect();
        assert_eq!((layouts, archive.foreign.len()), (vec![Layout::Compressed], 0));
    }

    #[test]
    fn an_original_that_differs_from_its_seal_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut seal) = sealed(folder.path());
        seal.xxh128 = "0".repeat(32);
        let error = compress(&path, &seal).unwrap_err();
        assert!(error.to_string().starts_with("compress log segment"), "{error}");
        let archive = Archive::open(folder.path()).unwrap();
        let layouts: Vec<_> = archive.segments.iter().map(|s| s.layout).collect();
        assert_eq!((layouts, archive.foreign.len()), (vec![Layout::Sealed], 0));
    }
}
