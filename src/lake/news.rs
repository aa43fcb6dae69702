//! What of a log folder is not in its lake yet.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::manifest::{Known, Manifest, Stat};
use crate::tape::{Archive, Body, Event, Layout, Record, Segment};

/// More of one session, to be digested in order.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) session: String,
    pub(super) segments: Vec<(u32, Segment)>,
}

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) jobs: Vec<Job>,
    /// Files as they are now, by their path within the log folder.
    pub(super) files: BTreeMap<String, Known>,
    /// Files that hold what others hold, too.
    pub(super) doubles: Vec<PathBuf>,
    /// Segments of ours that were digested and are no longer there.
    pub(super) gone: Vec<PathBuf>,
    /// Why what was digested does not hold any more.
    pub(super) outdated: Option<String>,
}

impl News {
    /// Whether the lake is up to date.
    pub(super) fn is_none(&self) -> bool {
        self.jobs.is_empty() && self.outdated.is_none()
    }

    /// Looks for what was digested and is gone. A segment of ours is known by its name wherever it
    /// lies; a file of another recorder only by its place, so that it may be there under another
    /// one, and would be digested twice.
    fn miss(&mut self, archive: &Archive, manifest: &Manifest) {
        let gone = manifest.files.iter().filter(|(path, _)| !self.files.contains_key(*path));
        let gone: Vec<_> = gone.map(|(path, file)| (path.clone(), file.clone())).collect();
        if gone.is_empty() {
            return;
        }
        let present: BTreeSet<(String, u32)> =
            archive.segments.iter().filter_map(Segment::name).collect();
        for (path, file) in gone {
            match Segment::name_of(Path::new(&path)) {
                Some(name) if present.contains(&name) => {}
                Some(_) => {
                    self.gone.push(archive.folder.join(&path));
                    self.files.insert(path, file);
                }
                None => {
                    self.outdated.get_or_insert_with(|| format!("`{path}` is gone"));
                }
            }
        }
    }
}

/// The same as [`news`] where a log folder holds exactly what was digested of it, which is quickly
/// seen, but for [`News::files`].
pub(super) fn at_first_sight(archive: &Archive, manifest: &Manifest) -> News {
    let known = |segment: &Segment| {
        let file = manifest.files.get(&*within(&archive.folder, &segment.path));
        file.is_some_and(|known| known.stat == Stat::of_segment(segment))
    };
    let same = archive.segments.len() == manifest.files.len();
    if same && archive.segments.iter().all(known) {
        return News::default();
    }
    news(archive, manifest)
}

/// Compares a log folder with what was digested of it.
pub(super) fn news(archive: &Archive, manifest: &Manifest) -> News {
    let mut news = News::default();
    let mut sessions: BTreeMap<String, BTreeMap<u32, Segment>> = BTreeMap::new();
    let mut names: BTreeSet<String> = manifest.sessions.keys().cloned().collect();
    for segment in &archive.segments {
        let stat = Stat::of_segment(segment);
        let within = within(&archive.folder, &segment.path).into_owned();
        let known = manifest.files.get(&within);
        if let Some(known) = known.filter(|known| known.stat == stat) {
            news.files.insert(within, known.clone());
            continue;
        }
        let session = match own_name(segment) {
            Some((session, number)) => {
                let copies = sessions.entry(session.clone()).or_default();
                news.doubles.extend(keep_further(copies, number, segment));
                session
            }
            None => {
                news.outdated = news.outdated.or_else(|| changed(&within, known, stat, segment));
                let session = known.map_or_else(
                    // Two files of one name are told apart by their folder.
                    || if names.insert(segment.stem()) { segment.stem() } else { within.clone() },
                    |known| known.session.clone(),
                );
                sessions.entry(session.clone()).or_default().insert(0, segment.clone());
                session
            }
        };
        news.files.insert(within, Known { stat, session });
    }
    news.miss(archive, manifest);
    for (session, mut segments) in sessions {
        if let Some(digested) = manifest.sessions.get(&session) {
            let last = digested.segments.last().copied().unwrap_or_default();
            if let Some(late) =
                segments.keys().find(|n| **n < last && !digested.segments.contains(n))
            {
                news.outdated = Some(format!("segment {late} of session {session} came late"));
            }
            segments.retain(|number, _| *number >= last);
        }
        if !segments.is_empty() {
            news.jobs.push(Job { session, segments: segments.into_iter().collect() });
        }
    }
    news
}

/// Of two copies of a segment, keeps the one that has come further, or is larger; gives the other.
fn keep_further(
    copies: &mut BTreeMap<u32, Segment>,
    number: u32,
    segment: &Segment,
) -> Option<PathBuf> {
    let other = copies.insert(number, segment.clone())?;
    if (other.layout, other.bytes) < (segment.layout, segment.bytes) {
        return Some(other.path);
    }
    copies.insert(number, other);
    Some(segment.path.clone())
}

/// Why a file of another recorder that was digested is another one by now.
fn changed(path: &str, known: Option<&Known>, now: Stat, segment: &Segment) -> Option<String> {
    let known = known?.stat;
    if known == Stat::UNREAD {
        return None;
    }
    let grows = now.bytes >= known.bytes && segment.layout != Layout::Compressed;
    (!grows).then(|| format!("`{path}` was replaced"))
}

/// A path within the log folder.
pub(super) fn within<'p>(folder: &Path, path: &'p Path) -> Cow<'p, str> {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy()
}

/// The session and number of one of our segments: from its name, or where somebody has renamed it,
/// from its first line.
fn own_name(segment: &Segment) -> Option<(String, u32)> {
    if let Some(name) = segment.name() {
        return Some(name);
    }
    let mut reader = segment.open().ok()?;
    let line = reader.next_line().ok()??;
    let Body::Event(event) = Record::parse(line.bytes).ok()?.body else { return None };
    let Event::Session(info) = *event else { return None };
    Some((info.session.into_owned(), info.segment))
}
