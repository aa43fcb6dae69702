//! The lake of a log folder: brought up to date, and found where it lies.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use duckdb::Connection;
use tempfile::TempDir;

use super::{
    Error, LoadReport,
    load::{self, Found, From, Task},
    manifest::{Manifest, Part, Session, now_ns},
    news::{self, Job, News},
    part,
    stage::{Finished, Stage},
    stored::{self, quoted},
};
use crate::tape::{Archive, Layout, Segment};

/// Text that is digested before what came of it is made valid.
const ROUND_BYTES: u64 = 8 << 30;
/// How much text a compressed byte may stand for, for the sake of [`ROUND_BYTES`].
const EXPANSION: u64 = 18;
/// So many small files of one table and day become one.
const PARTS_MAX: usize = 8;
/// Larger files are not small.
const SMALL_BYTES: u64 = 64 << 20;
/// How long a file that newer readers do not need is kept for older ones.
const GARBAGE_NS: i64 = 3_600_000_000_000;
const LOCK: &str = "lock";

/// Told how much of the text to be read has been read.
pub type Progress<'p> = &'p (dyn Fn(u64, u64) + Sync);

/// The rows of a log folder.
#[derive(Debug)]
pub struct Lake {
    folder: PathBuf,
    manifest: Manifest,
    /// Where the log folder cannot be written: a lake for this process alone.
    _own: Option<TempDir>,
}

impl Lake {
    /// Opens the lake of a log folder, which lies in it or under `elsewhere`, and digests what is
    /// new. Where another process is doing that, waits for it.
    ///
    /// A lake of another version, a damaged one, and one whose recordings were changed, is built
    /// anew.
    ///
    /// # Errors
    /// [`Error::Tape`] where the log folder cannot be listed, and [`Error::File`] and
    /// [`Error::Store`] where rows cannot be stored.
    pub fn open(
        logs: &Path,
        elsewhere: Option<&Path>,
        progress: Progress<'_>,
    ) -> Result<(Self, LoadReport), Error> {
        let archive = Archive::open(logs).map_err(Error::Tape)?;
        let folder = elsewhere.map_or_else(|| default_folder(logs), Path::to_owned);
        let mut report = LoadReport { foreign: archive.foreign.clone(), ..LoadReport::default() };
        let manifest = Manifest::read(&folder).filter(|manifest| is_sound(manifest, &folder));
        if let Some(manifest) = manifest {
            let news = news::news(&archive, &manifest);
            if news.is_none() {
                return Ok((Self { folder, manifest, _own: None }, report));
            }
        }
        let (folder, lock, own) = match fs::create_dir_all(&folder).and_then(|()| lock(&folder)) {
            Ok(lock) => (folder, lock, None),
            Err(error) if elsewhere.is_none() && is_read_only(&error) => {
                tracing::warn!(
                    folder = %folder.display(),
                    "cannot be written: everything is read anew each time; --lake-dir names another folder"
                );
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
        let manifest = Manifest::read(&folder).filter(|manifest| is_sound(manifest, &folder));
        let mut manifest = manifest.unwrap_or_default();
        let mut news = news::news(&archive, &manifest);
        if let Some(reason) = news.outdated.take() {
            tracing::warn!(reason, "the lake is built anew");
            manifest = Manifest::renewed(&manifest);
            news = news::news(&archive, &manifest);
        }
        report.known.append(&mut news.doubles);
        let mut lake = Self { folder, manifest, _own: own };
        lake.sweep();
        lake.digest(news, &mut report, progress)?;
        drop(lock);
        Ok((lake, report))
    }

    /// The files of a table that hold rows.
    pub fn files(&self, table: &str) -> Vec<PathBuf> {
        self.manifest.of(table).map(|part| self.folder.join(&part.path)).collect()
    }

    /// The lake's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The sessions that it holds.
    pub(super) const fn sessions(&self) -> &BTreeMap<String, Session> {
        &self.manifest.sessions
    }

    fn digest(
        &mut self,
        news: News,
        report: &mut LoadReport,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let total =
            news.jobs.iter().flat_map(|job| &job.segments).map(|(_, s)| text_bytes(s)).sum();
        let read = AtomicU64::new(0);
        let connection = Connection::open_in_memory()
            .map_err(|source| Error::Store { table: "lake", source })?;
        Stage::create_tables(&connection)?;
        if self.manifest.parts.is_empty() {
            self.write_empty(&connection)?;
        }
        for round in rounds(news.jobs) {
            let tasks: Vec<Task> = round.into_iter().map(|job| self.task(job)).collect();
            let mut stage = Stage::new(&connection, &self.folder, self.manifest.next_part);
            let tell = || progress(read.load(Ordering::Relaxed), total);
            let found = load::digest(&tasks, &read, &mut stage, tell)?;
            let finished = stage.finish()?;
            self.take(&connection, found, finished, report)?;
            self.merge(&connection)?;
            self.commit()?;
        }
        self.manifest.files = news.files;
        self.commit()
    }

    /// A file without rows for each table, so that all of them are there and have their columns.
    fn write_empty(&mut self, connection: &Connection) -> Result<(), Error> {
        for table in &stored::TABLES {
            let path = format!("{}/empty.parquet", table.name);
            let rows = table.digested("rows", None);
            let part = part::write(connection, table, &rows, &self.folder, path)?;
            self.manifest.parts.push(part);
        }
        Ok(())
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
        connection: &Connection,
        found: Found,
        finished: Finished,
        report: &mut LoadReport,
    ) -> Result<(), Error> {
        report.segments.extend(found.segments);
        self.manifest.next_part = finished.next_part;
        let names: Vec<String> =
            found.sessions.iter().map(|digested| digested.name.clone()).collect();
        self.forget_facts(connection, &names)?;
        self.manifest.parts.extend(finished.rows);
        for mut part in finished.facts {
            part.sessions = names.iter().cloned().collect();
            self.manifest.parts.push(part);
        }
        for digested in found.sessions {
            let mut session = digested.session;
            session.state = format!("state/{:08}.json.zst", self.manifest.next_part);
            self.manifest.next_part += 1;
            let path = self.folder.join(&session.state);
            let write = || {
                fs::create_dir_all(self.folder.join("state"))?;
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
    fn forget_facts(&mut self, connection: &Connection, names: &[String]) -> Result<(), Error> {
        let tells = |part: &Part| names.iter().any(|name| part.sessions.contains(name));
        let old: Vec<Part> = self.manifest.parts.extract_if(.., |part| tells(part)).collect();
        for part in old {
            let mut sessions = part.sessions.clone();
            sessions.retain(|session| !names.contains(session));
            if !sessions.is_empty() {
                let path = self.folder.join(&part.path);
                let table = stored::table(&part.table)?;
                let gone = self.manifest.sessions.iter().filter(|(name, _)| names.contains(name));
                let rows = table.stored(&[quoted(&path.to_string_lossy())], &table.not_of(gone));
                let mut rest = self.write(connection, &part.table, &rows, &part.path)?;
                rest.sessions = sessions;
                self.manifest.parts.push(rest);
            }
            self.discard(part.path);
        }
        Ok(())
    }

    /// Makes one file of many small ones.
    fn merge(&mut self, connection: &Connection) -> Result<(), Error> {
        let folder_of = |part: &Part| Path::new(&part.path).parent().map(Path::to_owned);
        let mut groups: Vec<_> =
            self.manifest.parts.iter().map(|p| (folder_of(p), !p.sessions.is_empty())).collect();
        groups.sort();
        groups.dedup();
        for (folder, facts) in groups {
            let small = |part: &Part| {
                folder_of(part) == folder
                    && part.sessions.is_empty() != facts
                    && part.stat.bytes < SMALL_BYTES
            };
            if self.manifest.parts.iter().filter(|part| small(part)).count() < PARTS_MAX {
                continue;
            }
            let parts: Vec<Part> = self.manifest.parts.extract_if(.., |part| small(part)).collect();
            let Some(first) = parts.first() else { continue };
            let files: Vec<String> = parts
                .iter()
                .map(|part| quoted(&self.folder.join(&part.path).to_string_lossy()))
                .collect();
            let rows = stored::table(&first.table)?.stored(&files, "");
            let mut merged =
                self.write(connection, &first.table.clone(), &rows, &first.path.clone())?;
            merged.sessions = parts.iter().flat_map(|part| part.sessions.clone()).collect();
            self.manifest.parts.push(merged);
            parts.into_iter().for_each(|part| self.discard(part.path));
        }
        Ok(())
    }

    /// Writes rows beside another part of a table, under the next number.
    fn write(
        &mut self,
        connection: &Connection,
        table: &str,
        rows: &str,
        beside: &str,
    ) -> Result<Part, Error> {
        let folder = beside.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = format!("{folder}/part-{:08}.parquet", self.manifest.next_part);
        self.manifest.next_part += 1;
        part::write(connection, stored::table(table)?, rows, &self.folder, path)
    }

    fn discard(&mut self, path: String) {
        self.manifest.garbage.push((path, now_ns()));
    }

    /// Removes what a digestion left that did not come to its end.
    fn sweep(&self) {
        let owned = self.manifest.owned();
        let mut pending = vec![self.folder.clone()];
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let within = path.strip_prefix(&self.folder).unwrap_or(&path);
                if path.is_dir() {
                    pending.push(path);
                } else if !owned.contains(within) && within != Path::new(LOCK) {
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

/// Where the lake of a log folder lies by itself.
fn default_folder(logs: &Path) -> PathBuf {
    if logs.is_dir() { logs.join("lake") } else { logs.with_extension("lake") }
}

fn is_sound(manifest: &Manifest, folder: &Path) -> bool {
    let damaged = manifest.parts.iter().find(|part| !part.is_sound(folder));
    if let Some(part) = damaged {
        tracing::warn!(path = part.path, "a file of the lake is damaged: it is built anew");
    }
    damaged.is_none()
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
