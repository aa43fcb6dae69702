//! Compressing a sealed segment, and proving the copy before the original goes.

use std::{
    fs::{self, File, TryLockError},
    io::{self, BufReader, ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Error, Seal,
    seal::{CLOSING_LINE_MAX, Digester},
    segment::sync_folder,
};

const LEVEL: i32 = 3;
/// Where nothing else tells, a partial copy that was not written to for so long is a dead one's.
const DEAD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// A copy leaves this much of the disk to what is recorded while it is made, or a twentieth of a
/// small disk. No more: on a disk that is nearly full a copy is what makes room.
const LEFT_FREE: u64 = 16 << 20;

/// Compresses `X.sealed.jsonl` to `X.jsonl.zst` and removes it, after the copy was read back and
/// its digest found equal to the seal's. Interrupted at any point, one whole file remains, and the
/// next call goes on from there. Returns where the segment lies then: still under its own name when
/// another program is compressing it just now.
///
/// # Errors
/// [`Error::Segment`]; the original is then still there.
pub fn compress(sealed: &Path) -> Result<PathBuf, Error> {
    let [target, partial] = [".jsonl.zst", ".jsonl.zst.tmp"].map(|ending| sibling(sealed, ending));
    let fail = |source| Error::segment("compress", sealed, source);
    let source = match File::open(sealed) {
        Err(error) if error.kind() == ErrorKind::NotFound && target.exists() => return Ok(target),
        opened => opened.map_err(fail)?,
    };
    let Some(claim) = Claim::on(&source) else { return Ok(sealed.to_owned()) };
    // Whoever had the claim before may have brought it to its end.
    if !sealed.exists() && target.exists() {
        return Ok(target);
    }
    let seal = Seal::read(&source).map_err(fail)?;
    if check_copy(&target, &seal).is_err() {
        make_copy(&source, &claim, &partial, &target, &seal).map_err(fail)?;
    }
    // The copy's name must survive a power cut before the original may go.
    let folder = target.parent().unwrap_or(Path::new(""));
    sync_folder(folder)?;
    match fs::remove_file(sealed) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.map_err(|e| Error::segment("remove the original of", sealed, e))?,
    }
    sync_folder(folder)?;
    Ok(target)
}

/// The name of `X.sealed.jsonl` with another ending.
pub(super) fn sibling(sealed: &Path, ending: &str) -> PathBuf {
    let name = sealed.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".sealed.jsonl").unwrap_or(&name);
    sealed.with_file_name(format!("{stem}{ending}"))
}

/// Keeps two recorders in one folder from compressing the same segment at once.
enum Claim {
    /// By a lock on the sealed file, which ends with the process: a partial copy is a dead one's.
    Lock,
    /// Where the file system has no locks, by who creates the copy's file: one that is there may be
    /// somebody's, unless it is old.
    FirstCome,
}

impl Claim {
    fn on(sealed: &File) -> Option<Self> {
        // There a lock would keep readers off as well.
        if cfg!(windows) {
            return Some(Self::FirstCome);
        }
        match sealed.try_lock() {
            Ok(()) => Some(Self::Lock),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(_)) => Some(Self::FirstCome),
        }
    }
}

fn make_copy(
    source: &File,
    claim: &Claim,
    partial: &Path,
    target: &Path,
    seal: &Seal,
) -> io::Result<()> {
    let dead = match claim {
        Claim::Lock => partial.exists(),
        Claim::FirstCome => is_old(partial),
    };
    if dead {
        fs::remove_file(partial)?;
    }
    let copy = File::create_new(partial)?;
    let folder = partial.parent().unwrap_or(Path::new(""));
    let done = Sparing::new(copy, folder)
        .and_then(|copy| write_copy(source, copy))
        .and_then(|()| check_copy(partial, seal))
        .and_then(|()| fs::rename(partial, target));
    if done.is_err()
        && let Err(left) = fs::remove_file(partial)
    {
        tracing::debug!(%left, path = %partial.display(), "partial copy not removed");
    }
    done
}

fn is_old(partial: &Path) -> bool {
    let written = fs::metadata(partial).and_then(|status| status.modified());
    written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > DEAD_AFTER))
}

fn write_copy(mut source: &File, copy: Sparing<'_>) -> io::Result<()> {
    source.rewind()?;
    let mut encoder = zstd::Encoder::new(copy, LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?.file.sync_all()
}

/// A file that is not written further where that would fill the disk: a segment that is not
/// compressed costs room, a recorder without room its life.
struct Sparing<'f> {
    file: File,
    folder: &'f Path,
    left_free: u64,
}

impl<'f> Sparing<'f> {
    fn new(file: File, folder: &'f Path) -> io::Result<Self> {
        let left_free = LEFT_FREE.min(fs4::total_space(folder)? / 20);
        Ok(Self { file, folder, left_free })
    }
}

impl Write for Sparing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = fs4::available_space(self.folder)?;
        if free < self.left_free.saturating_add(bytes.len() as u64) {
            let text = "too little room for a copy beside what is being recorded";
            return Err(io::Error::new(ErrorKind::StorageFull, text));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn check_copy(copy: &Path, seal: &Seal) -> io::Result<()> {
    let mut decoder = BufReader::new(zstd::Decoder::new(File::open(copy)?)?);
    let mut digest = Digester::default();
    io::copy(&mut decoder.by_ref().take(seal.bytes), &mut digest)?;
    let mut closing_line = Vec::new();
    decoder.take(CLOSING_LINE_MAX).read_to_end(&mut closing_line)?;
    if digest.hex() == seal.xxh128 && closing_line.ends_with(b"}\n") {
        Ok(())
    } else {
        Err(io::Error::new(ErrorKind::InvalidData, "the copy differs from the seal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Archive, Layout, SegmentWriter, Stamp, write_frame};

    fn sealed(folder: &Path) -> PathBuf {
        let stamp = Stamp { start_ns: 0, session: "3f9a1c07be52".into(), number: 0 };
        let mut segment = SegmentWriter::create(folder, &stamp).unwrap();
        let mut lines = Vec::new();
        for n in 0..1_000 {
            write_frame(&mut lines, n, 1, "{\"type\":\"a\"}");
        }
        segment.append(&lines, 1_000, 1_000).unwrap();
        segment.seal(1_000).unwrap().0
    }

    fn layouts(folder: &Path) -> (Vec<Layout>, usize) {
        let archive = Archive::open(folder).unwrap();
        (archive.segments.iter().map(|s| s.layout).collect(), archive.foreign.len())
    }

    #[test]
    fn the_copy_replaces_the_original_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = sealed(folder.path());
        let before = fs::read(&path).unwrap();
        let compressed = compress(&path).unwrap();
        assert_eq!(zstd::decode_all(File::open(&compressed).unwrap()).unwrap(), before);
        assert_eq!(layouts(folder.path()), (vec![Layout::Compressed], 0));
        assert_eq!(compress(&path).unwrap(), compressed, "done already");
    }

    #[test]
    fn an_original_that_differs_from_its_seal_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = sealed(folder.path());
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replacen(r#"{"type":"a"}"#, r#"{"type":"b"}"#, 1)).unwrap();
        let error = compress(&path).unwrap_err();
        assert!(error.to_string().starts_with("compress log segment"), "{error}");
        assert_eq!(layouts(folder.path()), (vec![Layout::Sealed], 0));
        for cut in [whole.len() - 1, whole.len() / 2, 0] {
            fs::write(&path, &whole[..cut]).unwrap();
            compress(&path).unwrap_err();
            assert_eq!(fs::read_to_string(&path).unwrap(), whole[..cut]);
        }
    }

    #[test]
    fn what_a_crash_left_is_brought_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = sealed(folder.path());
        let whole = fs::read(&path).unwrap();
        let [target, partial] = [".jsonl.zst", ".jsonl.zst.tmp"].map(|end| sibling(&path, end));
        // Of another level, so that it can be told from one that is made again.
        let copy = zstd::encode_all(&*whole, LEVEL + 10).unwrap();
        assert_ne!(copy, zstd::encode_all(&*whole, LEVEL).unwrap());
        // A partial copy; a whole one whose original was to be removed; one that is no copy.
        let cases = [(&partial, &copy[..9]), (&target, &copy[..]), (&target, &copy[..19])];
        for (left, bytes) in cases {
            fs::write(&path, &whole).unwrap();
            fs::write(left, bytes).unwrap();
            assert_eq!(compress(&path).unwrap(), target);
            assert_eq!(zstd::decode_all(File::open(&target).unwrap()).unwrap(), whole);
            assert_eq!(layouts(folder.path()), (vec![Layout::Compressed], 0));
            let kept = fs::read(&target).unwrap() == copy;
            assert_eq!(kept, bytes.len() == copy.len(), "a sound copy is not made again");
            fs::remove_file(&target).unwrap();
        }
    }

    #[test]
    fn without_locks_a_copy_that_was_begun_long_ago_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = sealed(folder.path());
        let [target, partial] = [".jsonl.zst", ".jsonl.zst.tmp"].map(|end| sibling(&path, end));
        let source = File::open(&path).unwrap();
        let seal = Seal::read(&source).unwrap();
        let copy = || make_copy(&source, &Claim::FirstCome, &partial, &target, &seal);
        fs::write(&partial, "half").unwrap();
        assert_eq!(copy().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&partial).unwrap(), "half");
        let begun = fs::metadata(&partial).unwrap().modified().unwrap() - 2 * DEAD_AFTER;
        File::options().write(true).open(&partial).unwrap().set_modified(begun).unwrap();
        copy().unwrap();
        check_copy(&target, &seal).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_whose_name_is_not_utf8_stays_as_it_is_named() {
        use std::os::unix::ffi::OsStrExt;
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
        let compressed = compress(&sealed(&folder)).unwrap();
        assert!(compressed.starts_with(&folder) && compressed.exists(), "{compressed:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_segment_that_another_program_compresses_is_left_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = sealed(folder.path());
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        let partial = sibling(&path, ".jsonl.zst.tmp");
        fs::write(&partial, "half").unwrap();
        assert_eq!(compress(&path).unwrap(), path);
        assert_eq!(fs::read_to_string(&partial).unwrap(), "half");
        drop(other);
        assert!(compress(&path).unwrap().exists());
        assert!(!partial.exists());
    }
}
