//! A lake is brought up to date: digested round by round, and each made valid.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    Error, Lake, LoadReport, Options,
    folder::{self, STATES},
    load::{self, Found, From, Task},
    manifest::{Part, Stat, now_ns},
    news::{self, Job},
    ordered,
    stage::{Finished, Stage},
};
use crate::tape::{Archive, Layout, Segment};

/// Text that is digested before what came of it is made valid.
const ROUND_BYTES: u64 = 8 << 30;
/// How much text a compressed byte may stand for, for the sake of [`ROUND_BYTES`].
const EXPANSION: u64 = 18;
/// How long a file that newer readers do not need is kept for older ones.
const GARBAGE_NS: i64 = 3_600_000_000_000;

impl Lake {
    pub(super) fn digest(
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
            let segments = tasks.iter().flat_map(|task| &task.job.segments);
            let paths = segments.map(|(_, segment)| news::within(&archive.folder, &segment.path));
            let digested: Vec<String> = paths.map(Cow::into_owned).collect();
            let mut stage = Stage::new(&self.folder, self.manifest.next_part, threads);
            let tell = || (options.progress)(read.load(Ordering::Relaxed), total);
            let found = load::digest(&tasks, &read, &mut stage, threads, tell)?;
            let finished = stage.finish()?;
            for closed in &found.closed {
                if let Some(known) = news.files.get_mut(&*news::within(&archive.folder, closed)) {
                    known.stat = Stat::UNREAD;
                }
            }
            self.take(found, finished, archive, threads, report)?;
            let known = digested.into_iter().filter_map(|p| news.files.get_key_value(&p));
            self.manifest.files.extend(known.map(|(path, file)| (path.clone(), file.clone())));
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
            let path = news::within(&archive.folder, &segment.path).into_owned();
            match &segment.damage {
                Some(damage) => drop(self.manifest.damages.insert(path, damage.clone())),
                None => drop(self.manifest.damages.remove(&path)),
            }
        }
        report.damaged.retain(|(path, _)| found.segments.iter().all(|s| s.path != *path));
        report.segments.extend(found.segments);
        self.manifest.next_part = finished.next_part;
        let told: BTreeSet<u32> = found.sessions.iter().map(|told| told.session.number).collect();
        self.forget_facts(&told, threads)?;
        self.manifest.parts.extend(finished.rows);
        let facts = finished.facts.into_iter();
        self.manifest.parts.extend(facts.map(|part| Part { sessions: told.clone(), ..part }));
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

    /// Starts anew, and leaves the files to older readers.
    pub(super) fn renew(&mut self, reason: String, report: &mut LoadReport) {
        report.renewed = Some(reason);
        report.earlier_oddities = 0;
        self.manifest = self.manifest.renewed();
        // What an attempt has stored that failed has the next numbers.
        folder::sweep(&self.folder, &self.manifest.owned());
    }

    pub(super) fn discard(&mut self, path: String) {
        self.manifest.garbage.push((path, now_ns()));
    }

    /// Makes what is stored valid, and removes what nobody needs.
    fn commit(&mut self) -> Result<(), Error> {
        let now_ns = now_ns();
        let old = |(_, since): &mut (String, i64)| now_ns.saturating_sub(*since) > GARBAGE_NS;
        let garbage: Vec<_> = self.manifest.garbage.extract_if(.., old).collect();
        self.manifest.write(&self.folder)?;
        for (path, _) in garbage {
            folder::remove(&self.folder.join(path));
        }
        Ok(())
    }
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
