//! The lake of a log folder: opened, and brought up to date where there is news.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    num::NonZero,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    Error, LoadReport, folder,
    manifest::{Manifest, Part, Session},
    news::{self, News},
    read::Footers,
};
use crate::tape::Archive;

/// Told how much of the text to be read has been read.
pub type Progress<'p> = &'p (dyn Fn(u64, u64) + Sync);

/// The rows of a log folder.
#[derive(Debug)]
pub struct Lake {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
    /// The log folder that it is of.
    pub(super) logs: PathBuf,
    pub(super) footers: Footers,
    /// Where the log folder cannot be written: a lake for this process alone.
    _own: Option<TempDir>,
}

/// How a lake is opened.
#[derive(Clone, Copy)]
pub struct Options<'o> {
    /// Where it lies, if not in the log folder.
    pub folder: Option<&'o Path>,
    /// Threads that digest; as many as the machine runs at once, if none is said.
    pub threads: Option<NonZero<usize>>,
    /// Told how far the digestion is.
    pub progress: Progress<'o>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { folder: None, threads: None, progress: &|_, _| {} }
    }
}

impl Lake {
    /// Opens the lake of a log folder and digests what is new. Where another process is doing that,
    /// waits for it.
    ///
    /// A lake of another version, a damaged one, and one whose recordings were changed, is built
    /// anew.
    ///
    /// # Errors
    /// [`Error::Tape`] where the log folder cannot be listed, and [`Error::File`] and
    /// [`Error::Parquet`] where rows cannot be stored.
    pub fn open(logs: &Path, options: Options<'_>) -> Result<(Self, LoadReport), Error> {
        let archive = Archive::open(logs).map_err(Error::Tape)?;
        let folder = folder::of(logs, options.folder);
        let mut report = LoadReport { foreign: archive.foreign.clone(), ..LoadReport::default() };
        let manifest = Manifest::read(&folder);
        let own_logs = logs_of(&archive, options)?;
        folder::check(&folder, manifest.as_ref(), own_logs.as_deref())?;
        let manifest = manifest.filter(|manifest| is_sound(manifest, &folder));
        let news = manifest.as_ref().map(|manifest| news::at_first_sight(&archive, manifest));
        let nothing = archive.segments.is_empty() && !folder::is_lake(&folder);
        if nothing || news.as_ref().is_some_and(News::is_none) {
            report.gone = news.map(|news| news.gone).unwrap_or_default();
            let manifest = manifest.unwrap_or_default();
            let (logs, footers) = (archive.folder.clone(), Footers::default());
            let lake = Self { folder, manifest, logs, footers, _own: None };
            lake.tell(&archive, &mut report);
            return Ok((lake, report));
        }
        let (folder, lock, own) = take(folder, options, &mut report)?;
        // Another process may have digested meanwhile what was not there yet at the first look.
        let archive = Archive::open(logs).map_err(Error::Tape)?;
        let manifest = Manifest::read(&folder);
        folder::check(&folder, manifest.as_ref(), own_logs.as_deref())?;
        // One that is damaged goes on where it ends: its files are for older readers.
        let mut manifest = match manifest {
            Some(manifest) if is_sound(&manifest, &folder) => manifest,
            Some(damaged) => {
                report.renewed = Some("a file of it was damaged or gone".to_owned());
                damaged.renewed()
            }
            None => Manifest::default(),
        };
        manifest.logs = own_logs;
        let (logs, footers) = (archive.folder.clone(), Footers::default());
        let mut lake = Self { folder, manifest, logs, footers, _own: own };
        folder::sweep(&lake.folder, &lake.manifest.owned());
        lake.tell(&archive, &mut report);
        match lake.digest(&archive, options, &mut report) {
            Err(error @ (Error::Replaced(_) | Error::State { .. })) => {
                lake.renew(error.to_string(), &mut report);
                report.segments.clear();
                lake.digest(&archive, options, &mut report)?;
            }
            result => result?,
        }
        drop(lock);
        Ok((lake, report))
    }

    /// The files of a table that hold rows.
    pub fn files(&self, table: &str) -> Vec<PathBuf> {
        self.manifest.of(table).map(|part| self.folder.join(&part.path)).collect()
    }

    /// Whether its files are there and as they were written, by their dates.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        Manifest::read(&self.folder).is_some() && is_sound(&self.manifest, &self.folder)
    }

    /// The files that are not as they were written, within the lake that is in a folder; none where
    /// there is no lake.
    #[must_use]
    pub fn damaged_files(logs: &Path, elsewhere: Option<&Path>) -> Vec<PathBuf> {
        let folder = folder::of(logs, elsewhere);
        let parts = Manifest::read(&folder).map(|manifest| manifest.parts).unwrap_or_default();
        let damaged = parts.into_iter().filter(|part| !part.is_intact(&folder));
        damaged.map(|part| folder.join(part.path)).collect()
    }

    /// How many oddities were met in what the lake in a folder has; none where there is no lake.
    #[must_use]
    pub fn oddities(logs: &Path, elsewhere: Option<&Path>) -> u64 {
        let folder = folder::of(logs, elsewhere);
        Manifest::read(&folder).map_or(0, |manifest| oddities(&manifest))
    }

    /// The lake's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it holds anything.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        !self.manifest.sessions.is_empty()
    }

    /// The sessions that it holds.
    pub(super) const fn sessions(&self) -> &BTreeMap<String, Session> {
        &self.manifest.sessions
    }

    /// The files of a table.
    pub(super) fn parts<'l>(&'l self, table: &'l str) -> impl Iterator<Item = &'l Part> {
        self.manifest.of(table)
    }

    /// Tells what was found at earlier times.
    fn tell(&self, archive: &Archive, report: &mut LoadReport) {
        let damages = self.manifest.damages.iter();
        let damages = damages.map(|(path, damage)| (archive.folder.join(path), damage.clone()));
        report.damaged = damages.collect();
        report.earlier_oddities = oddities(&self.manifest);
    }
}

fn oddities(manifest: &Manifest) -> u64 {
    let sessions = manifest.sessions.values();
    sessions.fold(0, |sum, session| sum.saturating_add(session.oddities))
}

/// Takes a lake's folder, so that nobody else digests; or where the log folder cannot be written, a
/// temporary one.
fn take(
    folder: PathBuf,
    options: Options<'_>,
    report: &mut LoadReport,
) -> Result<(PathBuf, File, Option<TempDir>), Error> {
    match fs::create_dir_all(&folder).and_then(|()| folder::lock(&folder)) {
        Ok(lock) => Ok((folder, lock, None)),
        Err(error) if options.folder.is_none() && folder::is_read_only(&error) => {
            report.renewed = Some(format!(
                "`{}` cannot be written, so that it is made each time; --lake-dir names another folder",
                folder.display()
            ));
            let own = tempfile::tempdir().map_err(|e| Error::file("create", &folder, e))?;
            let folder = own.path().to_owned();
            let lock = folder::lock(&folder).map_err(|e| Error::file("lock", &folder, e))?;
            Ok((folder, lock, Some(own)))
        }
        Err(error) => Err(Error::file("open the lake", &folder, error)),
    }
}

/// The log folder, by which a lake that lies elsewhere is known.
fn logs_of(archive: &Archive, options: Options<'_>) -> Result<Option<PathBuf>, Error> {
    let real = |_: &Path| {
        fs::canonicalize(&archive.folder).map_err(|e| Error::file("look at", &archive.folder, e))
    };
    options.folder.map(real).transpose()
}

fn is_sound(manifest: &Manifest, folder: &Path) -> bool {
    manifest.parts.iter().all(|part| part.is_sound(folder))
}
