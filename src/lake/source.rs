//! Which files belong together, and in what order.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use crate::tape::{Archive, Body, Event, Record, Segment};

/// The files of one session, in order; or one file of another recorder.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) session: String,
    pub(super) segments: Vec<Segment>,
}

/// Groups the files of a log folder. `known` holds what was taken before; what is met again is
/// returned apart.
pub(super) fn sources(
    archive: &Archive,
    known: &mut HashSet<String>,
) -> (Vec<Source>, Vec<PathBuf>) {
    let mut sessions: BTreeMap<String, BTreeMap<u32, Segment>> = BTreeMap::new();
    let mut files = Vec::new();
    let mut again = Vec::new();
    for segment in &archive.segments {
        let path = segment.path.clone();
        if let Some((session, number)) = own_session(segment) {
            if known.insert(format!("{session} {number}")) {
                sessions.entry(session).or_default().insert(number, segment.clone());
            } else {
                again.push(path);
            }
            continue;
        }
        let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !known.insert(whole.to_string_lossy().into_owned()) {
            again.push(path);
            continue;
        }
        // Two files of one name are told apart by their folder.
        let mut session = segment.stem();
        if !known.insert(format!("{session} ")) {
            session = whole.with_file_name(&session).to_string_lossy().into_owned();
        }
        files.push(Source { session, segments: vec![segment.clone()] });
    }
    let mut sources: Vec<_> = sessions
        .into_iter()
        .map(|(session, parts)| Source { session, segments: parts.into_values().collect() })
        .collect();
    sources.extend(files);
    (sources, again)
}

/// The session and number of one of our segments, from its first line.
fn own_session(segment: &Segment) -> Option<(String, u32)> {
    let mut reader = segment.open().ok()?;
    let line = reader.next_line().ok()??;
    let Body::Event(event) = Record::parse(line.bytes).ok()?.body else { return None };
    let Event::Session(info) = *event else { return None };
    Some((info.session.into_owned(), info.segment))
}
