//! The folder of a lake: whose it is, who writes in it, and which files in it are the lake's.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::{Error, manifest::Manifest, stored};

/// The file that whoever digests holds.
const LOCK: &str = "lock";
/// The folder of what is known where sessions go on.
pub(super) const STATES: &str = "state";

/// Where the lake of a log folder lies, if not elsewhere.
pub(super) fn of(logs: &Path, elsewhere: Option<&Path>) -> PathBuf {
    match elsewhere {
        Some(folder) => folder.to_owned(),
        None if logs.is_dir() => logs.join("lake"),
        None => logs.with_extension("lake"),
    }
}

/// Nobody's files, and no other recordings' lake, are taken for this one.
pub(super) fn check(
    folder: &Path,
    manifest: Option<&Manifest>,
    own_logs: Option<&Path>,
) -> Result<(), Error> {
    let other = manifest.and_then(|manifest| manifest.logs.as_ref());
    if let (Some(own), Some(other)) = (own_logs, other)
        && own != other
    {
        return Err(Error::OtherLogs { lake: folder.to_owned(), logs: other.clone() });
    }
    let filled = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if filled && !is_lake(folder) {
        return Err(Error::NotALake(folder.to_owned()));
    }
    Ok(())
}

/// Whether a lake was begun there.
pub(super) fn is_lake(folder: &Path) -> bool {
    folder.join(LOCK).exists()
}

/// One process at a time digests; the others wait for it, and then find little left to do.
pub(super) fn lock(folder: &Path) -> io::Result<File> {
    let file = File::create(folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => tracing::info!("another process digests; waiting for it"),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.lock()?;
    Ok(file)
}

/// Whether a folder is only to be read.
pub(super) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Removes what a digestion left that did not come to its end: files of ours by their folder
/// and name, that nobody knows.
pub(super) fn sweep(lake: &Path, owned: &BTreeSet<PathBuf>) {
    let tables = stored::TABLES.iter().map(|table| table.name);
    let mut folders: Vec<PathBuf> =
        tables.chain([STATES]).map(|folder| lake.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        // Nothing is followed out of the lake.
        if folder.is_symlink() {
            continue;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = entry.file_type();
            if kind.as_ref().is_ok_and(fs::FileType::is_dir) && name.starts_with("date=") {
                folders.push(path);
            } else if kind.is_ok_and(|kind| kind.is_file())
                && is_ours(&name)
                && path.strip_prefix(lake).is_ok_and(|path| !owned.contains(path))
            {
                remove(&path);
            }
        }
    }
}

/// Whether a file's name is one that this lake gives.
fn is_ours(name: &str) -> bool {
    let number = name
        .strip_prefix("part-")
        .and_then(|rest| rest.strip_suffix(".parquet"))
        .or_else(|| name.strip_suffix(".json.zst"));
    number.is_some_and(|number| number.len() >= 8 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Removes a file that nobody needs; where that fails, the next start tries again.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "remove an old file of the lake");
    }
}
