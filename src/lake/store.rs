//! The lake of a log folder: brought up to date, and found where it lies.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    num::NonZero,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use tempfile::TempDir;

use super::{
    Error, LoadReport,
    load::{self, Found, From, Task},
    manifest::{Manifest, Part, Session, now_ns},
    news::{self, Job, News},
    ordered,
    read::Footers,
    rewrite::rewrite,
    stage::{Finished, Stage},
    stored,
};
use crate::tape::{Archive, Layout, Segment};

/// Text that is digested before what came of it is made valid.
const ROUND_BYTES: u64 = 8 << 30;
/// How much text a compressed byte may stand for, for the sake of [`ROUND_BYTES`].
const EXPANSION: u64 = 18;
/// So many small files of one table and day become one.
const PARTS_MAX: usize = 8;
/// A file of so many rows is not small.
const LARGE_ROWS: u64 = 1_000_000;
/// The most rows of several files that become one: they are in memory at once.
const MERGED_ROWS_MAX: u64 = 2_000_000;
/// How long a file that newer readers do not need is kept for older ones.
const GARBAGE_NS: i64 = 3_600_000_000_000;
const LOCK: &str = "lock";
const STATES: &str = "state";

/// Told how much of the text to be read has been read.
pub type Progress<'p> = &'p (dyn Fn(u64, u64) + Sync);

/// The rows of a log folder.
#[derive(Debug)]
pub struct Lake {
    folder: PathBuf,
    manifest: Manifest,
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
        let folder = options.folder.map_or_else(|| default_folder(logs), Path::to_owned);
        let mut report = LoadReport { foreign: archive.foreign.clone(), ..LoadReport::default() };
        let manifest = Manifest::read(&folder);
        let own_logs = logs_of(&archive, options)?;
        check_folder(&folder, manifest.as_ref(), own_logs.as_deref())?;
        let manifest = manifest.filter(|manifest| is_sound(manifest, &folder));
        let news = manifest.as_ref().map(|manifest| news::news(&archive, manifest));
        let nothing = archive.segments.is_empty() && !folder.join(LOCK).exists();
        if nothing || news.as_ref().is_some_and(News::is_none) {
            report.gone = news.map(|news| news.gone).unwrap_or_default();
            let manifest = manifest.unwrap_or_default();
            let lake = Self { folder, manifest, footers: Footers::default(), _own: None };
            report.damaged = lake.damages(&archive);
            return Ok((lake, report));
        }
        let (folder, lock, own) = match fs::create_dir_all(&folder).and_then(|()| lock(&folder)) {
            Ok(lock) => (folder, lock, None),
            Err(error) if options.folder.is_none() && is_read_only(&error) => {
                report.renewed = Some(format!(
                    "`{}` cannot be written, so that it is made each time; --lake-dir names another folder",
                    folder.display()
                ));
                let own = tempfile::tempdir().map_err(|e| Error::file("create", &folder, e))?;
                let folder = own.path().to_owned();
                (
                    folder.clone(),
                    lock(&folder).map_err(|e| Error::file("lock", &folder, e))?,
                    Some(own),
                )
            }
            Err(error) => return Err(Error::file("open the lake", &folder, error)),
        };
        // Another process may have digested meanwhile what was not there yet at the first look.
        let archive = Archive::open(logs).map_err(Error::Tape)?;
        // One that is damaged goes on where it ends: its files are for older readers.
        let mut manifest = match Manifest::read(&folder) {
            Some(manifest) if is_sound(&manifest, &folder) => manifest,
            Some(damaged) => {
                report.renewed = Some("a file of it was damaged or gone".to_owned());
                damaged.renewed()
            }
            None => Manifest::default(),
        };
        manifest.logs = own_logs;
        let mut lake = Self { folder, manifest, footers: Footers::default(), _own: own };
        lake.sweep();
        report.damaged = lake.damages(&archive);
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
        let folder = elsewhere.map_or_else(|| default_folder(logs), Path::to_owned);
        let parts = Manifest::read(&folder).map(|manifest| manifest.parts).unwrap_or_default();
        let damaged = parts.into_iter().filter(|part| !part.is_intact(&folder));
        damaged.map(|part| folder.join(part.path)).collect()
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

    /// What could not be read to its end at earlier times.
    fn damages(&self, archive: &Archive) -> Vec<(PathBuf, String)> {
        let damages = self.manifest.damages.iter();
        damages.map(|(path, damage)| (archive.folder.join(path), damage.clone())).collect()
    }

    /// Starts anew, and leaves the files to older readers.
    fn renew(&mut self, reason: String, report: &mut LoadReport) {
        report.renewed = Some(reason);
        self.manifest = self.manifest.renewed();
        // What an attempt has stored that failed has the next numbers.
        self.sweep();
    }

    fn digest(
        &mut self,
        archive: &Archive,
        options: Options<'_>,
        report: &mut LoadReport,
    ) -> Result<(), Error> {
        let mut news = news::news(archive, &self.manifest);
        if let Some(reason) = news.outdated.take() {
            self.renew(reason, report);
            news = news::news(archive, &self.manifest);
        }
        report.known = news.doubles;
        report.gone = news.gone;
        let total =
            news.jobs.iter().flat_map(|job| &job.segments).map(|(_, s)| text_bytes(s)).sum();
        let read = AtomicU64::new(0);
        let threads = ordered::threads(options.threads);
        for round in rounds(news.jobs) {
            let tasks: Vec<Task> = round.into_iter().map(|job| self.task(job)).collect();
            let mut stage = Stage::new(&self.folder, self.manifest.next_part, threads);
            let tell = || (options.progress)(read.load(Ordering::Relaxed), total);
            let found = load::digest(&tasks, &read, &mut stage, threads, tell)?;
            let finished = stage.finish()?;
            self.take(found, finished, archive, threads, report)?;
            self.merge(threads)?;
            self.commit()?;
        }
        self.manifest.damages.retain(|path, _| news.files.contains_key(path));
        self.manifest.files = news.files;
        self.commit()
    }

    fn task(&mut self, job: Job) -> Task {
        let from = match self.manifest.sessions.get(&job.session) {
            Some(session) => From::State(session.clone(), self.folder.join(&session.state)),
            None => {
                let number = self.manifest.next_session;
                self.manifest.next_session += 1;
                From::Start(number)
            }
        };
        Task { job, from }
    }

    /// Takes the result of a digestion into the manifest.
    fn take(
        &mut self,
        found: Found,
        finished: Finished,
        archive: &Archive,
        threads: usize,
        report: &mut LoadReport,
    ) -> Result<(), Error> {
        for segment in &found.segments {
            let path = news::within(&archive.folder, &segment.path);
            match &segment.damage {
                Some(damage) => drop(self.manifest.damages.insert(path, damage.clone())),
                None => drop(self.manifest.damages.remove(&path)),
            }
        }
        report.damaged.retain(|(path, _)| found.segments.iter().all(|s| s.path != *path));
        report.segments.extend(found.segments);
        self.manifest.next_part = finished.next_part;
        let names: Vec<&str> = found.sessions.iter().map(|digested| &*digested.name).collect();
        self.forget_facts(&names, threads)?;
        self.manifest.parts.extend(finished.rows);
        for mut part in finished.facts {
            part.sessions = names.iter().map(|name| (*name).to_owned()).collect();
            self.manifest.parts.push(part);
        }
        for digested in found.sessions {
            let mut session = digested.session;
            session.state = format!("{STATES}/{:08}.json.zst", self.manifest.next_part);
            self.manifest.next_part += 1;
            let path = self.folder.join(&session.state);
            let write = || {
                fs::create_dir_all(self.folder.join(STATES))?;
                fs::write(&path, &digested.state)
            };
            write().map_err(|source| Error::file("write", &path, source))?;
            if let Some(old) = self.manifest.sessions.insert(digested.name, session) {
                self.discard(old.state);
            }
        }
        Ok(())
    }

    /// Takes out what was known of these sessions as a whole: more of them has been digested.
    fn forget_facts(&mut self, names: &[&str], threads: usize) -> Result<(), Error> {
        let tells = |part: &Part| names.iter().any(|name| part.sessions.contains(*name));
        for place in 0..self.manifest.parts.len() {
            let Some(part) = self.manifest.parts.get(place).filter(|part| tells(part)) else {
                continue;
            };
            let (part, mut sessions) = (part.clone(), part.sessions.clone());
            sessions.retain(|session| !names.contains(&&**session));
            let rest = if sessions.is_empty() {
                None
            } else {
                let known = &self.manifest.sessions;
                let gone = known.iter().filter(|(name, _)| names.contains(&&***name));
                let gone = gone.map(|(name, session)| (&**name, session)).collect();
                let path = beside(&part, self.manifest.next_part);
                let table = stored::table(&part.table)?;
                let parts = std::slice::from_ref(&part);
                Some(rewrite(table, &self.folder, parts, &gone, path, threads)?)
            };
            self.discard(part.path);
            if let (Some(rest), Some(slot)) = (rest, self.manifest.parts.get_mut(place)) {
                self.manifest.next_part += 1;
                *slot = Part { sessions, ..rest };
            }
        }
        self.manifest.parts.retain(|part| !tells(part));
        Ok(())
    }

    /// Makes one file of many small ones that are neighbours in the order of digestion.
    fn merge(&mut self, threads: usize) -> Result<(), Error> {
        let mut folders: BTreeMap<(String, bool), Vec<Part>> = BTreeMap::new();
        for part in std::mem::take(&mut self.manifest.parts) {
            let folder = (folder_of(&part).to_owned(), part.sessions.is_empty());
            folders.entry(folder).or_default().push(part);
        }
        for parts in folders.into_values() {
            for run in runs(parts) {
                let [first, _, ..] = &*run else {
                    self.manifest.parts.extend(run);
                    continue;
                };
                let path = beside(first, self.manifest.next_part);
                self.manifest.next_part += 1;
                let table = stored::table(&first.table)?;
                let none = HashMap::new();
                let merged = rewrite(table, &self.folder, &run, &none, path, threads)?;
                let sessions = run.iter().flat_map(|part| part.sessions.clone()).collect();
                self.manifest.parts.push(Part { sessions, ..merged });
                run.into_iter().for_each(|part| self.discard(part.path));
            }
        }
        Ok(())
    }

    fn discard(&mut self, path: String) {
        self.manifest.garbage.push((path, now_ns()));
    }

    /// Removes what a digestion left that did not come to its end: files of ours by their folder
    /// and name, that nobody knows.
    fn sweep(&self) {
        let owned = self.manifest.owned();
        let tables = stored::TABLES.iter().map(|table| table.name);
        let mut folders: Vec<PathBuf> =
            tables.chain([STATES]).map(|folder| self.folder.join(folder)).collect();
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
                    && path.strip_prefix(&self.folder).is_ok_and(|path| !owned.contains(path))
                {
                    remove(&path);
                }
            }
        }
    }

    /// Makes what is stored valid, and removes what nobody needs.
    fn commit(&mut self) -> Result<(), Error> {
        let now_ns = now_ns();
        let old = |(_, since): &mut (String, i64)| now_ns.saturating_sub(*since) > GARBAGE_NS;
        let garbage: Vec<_> = self.manifest.garbage.extract_if(.., old).collect();
        self.manifest.write(&self.folder)?;
        for (path, _) in garbage {
            remove(&self.folder.join(path));
        }
        Ok(())
    }
}

/// The folder that a part lies in.
fn folder_of(part: &Part) -> &str {
    part.path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The path of a new part in the same folder.
fn beside(part: &Part, number: u64) -> String {
    format!("{}/part-{number:08}.parquet", folder_of(part))
}

/// Whether a file's name is one that this lake gives.
fn is_ours(name: &str) -> bool {
    let number = name
        .strip_prefix("part-")
        .and_then(|rest| rest.strip_suffix(".parquet"))
        .or_else(|| name.strip_suffix(".json.zst"));
    number.is_some_and(|number| number.len() >= 8 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Splits the parts of a folder into those that become one.
fn runs(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let small = parts.iter().map(|part| part.rows < LARGE_ROWS).collect::<Vec<_>>();
    let long = |run: &[bool]| run.first() == Some(&true) && run.len() >= PARTS_MAX;
    let long = small.chunk_by(|a, b| a == b).any(long);
    let mut runs: Vec<Vec<Part>> = Vec::new();
    let mut room = 0;
    for part in parts {
        let fits = long && part.rows < LARGE_ROWS && part.rows <= room;
        match runs.last_mut().filter(|_| fits) {
            Some(run) => {
                room -= part.rows;
                run.push(part);
            }
            None => {
                room = if part.rows < LARGE_ROWS { MERGED_ROWS_MAX - part.rows } else { 0 };
                runs.push(vec![part]);
            }
        }
    }
    runs
}

/// The log folder, by which a lake that lies elsewhere is known.
fn logs_of(archive: &Archive, options: Options<'_>) -> Result<Option<PathBuf>, Error> {
    let real = |_: &Path| {
        fs::canonicalize(&archive.folder).map_err(|e| Error::file("look at", &archive.folder, e))
    };
    options.folder.map(real).transpose()
}

/// Nobody's files, and no other recordings' lake, are taken for this one.
fn check_folder(
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
    if filled && !folder.join(LOCK).exists() {
        return Err(Error::NotALake(folder.to_owned()));
    }
    Ok(())
}

/// Where the lake of a log folder lies by itself.
fn default_folder(logs: &Path) -> PathBuf {
    if logs.is_dir() { logs.join("lake") } else { logs.with_extension("lake") }
}

fn is_sound(manifest: &Manifest, folder: &Path) -> bool {
    manifest.parts.iter().all(|part| part.is_sound(folder))
}

/// One process at a time digests; the others wait for it, and then find little left to do.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::create(folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => tracing::info!("another process digests; waiting for it"),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.lock()?;
    Ok(file)
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Splits the work, so that what is done of a large archive survives an interruption.
fn rounds(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let mut rounds: Vec<Vec<Job>> = Vec::new();
    let mut room = 0;
    for job in jobs {
        for (number, segment) in job.segments {
            let bytes = text_bytes(&segment);
            if room < bytes || rounds.is_empty() {
                rounds.push(Vec::new());
                room = ROUND_BYTES.max(bytes);
            }
            room -= bytes;
            let Some(round) = rounds.last_mut() else { continue };
            match round.last_mut().filter(|last| last.session == job.session) {
                Some(last) => last.segments.push((number, segment)),
                None => round
                    .push(Job { session: job.session.clone(), segments: vec![(number, segment)] }),
            }
        }
    }
    rounds
}

/// About how much text a segment holds.
fn text_bytes(segment: &Segment) -> u64 {
    match segment.layout {
        Layout::Compressed => segment.bytes.saturating_mul(EXPANSION),
        Layout::Open | Layout::Sealed => segment.bytes,
    }
}

/// Removes a file that nobody needs; where that fails, the next start tries again.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "remove an old file of the lake");
    }
}
