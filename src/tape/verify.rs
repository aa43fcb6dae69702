//! Proving an archive: every digest and count is computed again, every sequence walked again, and
//! the holes that are found are compared with the holes that were declared.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::{self, Write as _},
    path::PathBuf,
};

use serde::Serialize;

use super::{Archive, Body, Error, Event, Layout, Record, Seal, Segment, Stamp, seal::Sealer};
use crate::protocol::{Header, Sequences, Step};

/// What an archive is worth.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Proof {
    /// Each file, in the order read.
    pub segments: Vec<SegmentProof>,
    /// Jumps in sequence numbers, declared or not.
    pub holes: Vec<Hole>,
    /// Segments that are missing between others of their session.
    pub missing: Vec<String>,
    /// Sessions whose last segment is not their end. No damage: later segments may still be
    /// written, or they were removed, or the recorder did not yet mark the end.
    pub unended: Vec<String>,
    /// Files that are no segments by their name.
    pub foreign_files: Vec<PathBuf>,
}

/// What one segment is worth.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SegmentProof {
    /// The file.
    pub path: PathBuf,
    /// The session, where the file or its name tells it.
    pub session: Option<String>,
    /// Whether its last line proves the rest of it.
    pub state: SegmentState,
    /// Lines of any kind.
    pub lines: u64,
    /// Lines that hold a frame.
    pub frames: u64,
    /// Lines that hold an event.
    pub events: u64,
    /// Empty lines, which other recorders leave.
    pub blank: u64,
    /// A last line that was cut short.
    pub torn: u64,
    /// Numbers that had come before.
    pub repeats: u64,
    /// Uncompressed bytes.
    pub bytes: u64,
    /// What is wrong, with the line where it is, if it is in one.
    pub damage: Vec<String>,
}

/// How far a segment is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// Counts and digest are as its last line says.
    Proven,
    /// Not closed: being written, left by a crash, or of a recorder that does not seal.
    #[default]
    Open,
    /// Not what its last line says, or not readable to its end.
    Damaged,
}

/// Frames of one subscription that are not in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// The session, or the file's name where there is none.
    pub session: String,
    /// The connection.
    pub conn: u32,
    /// The subscription.
    pub sid: u64,
    /// The first number that is missing.
    pub expected: u64,
    /// The number that came instead.
    pub got: u64,
    /// Whether walking the sequence shows it.
    pub found: bool,
    /// Whether the recorder wrote it down.
    pub declared: bool,
    /// Whether it was written down and the subscription has no frame after that, as when a crash
    /// cut the file there. The recording then neither shows the hole nor speaks against it.
    pub last: bool,
}

impl Proof {
    /// Whether anything is wrong that the recorder did not itself declare: a digest, a count, an
    /// unreadable line, a segment that is missing or there twice, or a hole found and not declared (or the reverse) in a
    /// recording that declares its holes.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.missing.is_empty()
            || self.segments.iter().any(|segment| !segment.damage.is_empty())
            || self.holes.iter().any(|hole| self.contradicts(hole))
    }

    /// Whether a hole is known from one side only, in a session that declares its holes.
    #[must_use]
    pub fn contradicts(&self, hole: &Hole) -> bool {
        let ours = self.segments.iter().any(|s| s.session.as_deref() == Some(&*hole.session));
        ours && hole.found != hole.declared && !hole.last
    }
}

/// Reads every byte of an archive and checks all it says of itself. It may be recorded meanwhile:
/// a segment that has moved on since it was listed is read where it is.
///
/// # Errors
/// None at present: a file that cannot be opened or read is damage of that segment.
pub fn verify(archive: &Archive, mut progress: impl FnMut(&SegmentProof)) -> Result<Proof, Error> {
    let mut proof = Proof { foreign_files: archive.foreign.clone(), ..Proof::default() };
    let mut walks: BTreeMap<String, Walk> = BTreeMap::new();
    // Of each segment, whether another follows as far as its closing line tells.
    let mut numbers: BTreeMap<String, BTreeMap<u32, bool>> = BTreeMap::new();
    for segment in &archive.segments {
        let mut check = SegmentCheck::of(segment);
        check.read(segment, &mut walks);
        if let (Some(session), Some(number)) = (check.proof.session.clone(), check.number) {
            let goes_on = check.seal.as_ref().is_some_and(|seal| !seal.end);
            let twice = format!("segment {number} of session {session} twice");
            if numbers.entry(session).or_default().insert(number, goes_on).is_some() {
                check.damaged(twice);
            }
        }
        progress(&check.proof);
        proof.segments.push(check.proof);
    }
    for (session, numbers) in numbers {
        let Some((&last, &goes_on)) = numbers.last_key_value() else { continue };
        for number in (0..last).filter(|number| !numbers.contains_key(number)) {
            proof.missing.push(format!("segment {number} of session {session}"));
        }
        if goes_on {
            proof.unended.push(format!(
                "session {session} has no end: its last segment {last} was rotated, later ones \
                 are missing or still being written"
            ));
        }
    }
    for (session, walk) in walks {
        proof.holes.extend(walk.holes(&session));
    }
    Ok(proof)
}

/// The sequences of one session, over all its segments.
#[derive(Default)]
struct Walk {
    sequences: HashMap<u32, Sequences>,
    found: BTreeSet<(u32, u64, u64, u64)>,
    declared: BTreeSet<(u32, u64, u64, u64)>,
    /// Those of them after which the subscription had no frame yet.
    last: BTreeSet<(u32, u64, u64, u64)>,
}

impl Walk {
    /// Checks one frame's number; true if it had come before.
    fn step(&mut self, conn: u32, (sid, seq): (u64, u64), kind: &str) -> bool {
        if !self.last.is_empty() {
            self.last.retain(|hole| (hole.0, hole.1) != (conn, sid));
        }
        let sequences = self.sequences.entry(conn).or_insert_with(Sequences::joined_late);
        match sequences.check(sid, seq) {
            Step::Next => false,
            Step::Gap { expected } => {
                self.found.insert((conn, sid, expected, seq));
                false
            }
            Step::Repeat { .. } => {
                // As the recorder does: the count may run anew, and a whole book may start it.
                if kind == "orderbook_snapshot" {
                    sequences.restart(sid, seq);
                }
                true
            }
        }
    }

    fn holes(self, session: &str) -> Vec<Hole> {
        let hole = |&(conn, sid, expected, got): &(u32, u64, u64, u64)| Hole {
            session: session.to_owned(),
            conn,
            sid,
            expected,
            got,
            found: self.found.contains(&(conn, sid, expected, got)),
            declared: self.declared.contains(&(conn, sid, expected, got)),
            last: self.last.contains(&(conn, sid, expected, got)),
        };
        self.found.union(&self.declared).map(hole).collect()
    }
}

struct SegmentCheck {
    proof: SegmentProof,
    number: Option<u32>,
    sealer: Sealer,
    seal: Option<Seal>,
    /// The session and the number in the name, if it is one of ours.
    named: Option<(String, u32)>,
}

impl SegmentCheck {
    fn of(segment: &Segment) -> Self {
        let named = Stamp::parse(&segment.stem()).map(|(name, n)| (name.to_owned(), n));
        let (session, number) = named.clone().unzip();
        let path = segment.path.clone();
        let proof = SegmentProof { path, session, ..SegmentProof::default() };
        Self { proof, number, sealer: Sealer::default(), seal: None, named }
    }

    fn read(&mut self, segment: &Segment, walks: &mut BTreeMap<String, Walk>) {
        let mut reader = match segment.open() {
            Ok(reader) => reader,
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                return self.damaged(format!("cannot be opened: {}", reason.unwrap_or_default()));
            }
        };
        self.proof.path = reader.path().to_owned();
        // A file of another recorder is a session of its own.
        let mut session = self.proof.session.clone().unwrap_or_else(|| segment.stem());
        loop {
            match reader.next_line() {
                Ok(Some(line)) => {
                    let number = line.number;
                    let (bytes, ended) = (line.bytes, line.ended);
                    self.line(number, bytes, ended, &mut session, walks);
                }
                Ok(None) => break,
                Err(error) => {
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    self.damage(self.proof.lines + 1, &reason.unwrap_or_default());
                    break;
                }
            }
        }
        self.proof.bytes = reader.offset();
        self.judge(Segment::layout_of(reader.path()).unwrap_or(segment.layout));
    }

    fn line(
        &mut self,
        number: u64,
        bytes: &[u8],
        ended: bool,
        session: &mut String,
        walks: &mut BTreeMap<String, Walk>,
    ) {
        self.proof.lines += 1;
        if self.seal.is_some() {
            return self.damage(number, "a line after the closing one");
        }
        let mut frames = 0;
        if bytes.trim_ascii().is_empty() {
            self.proof.blank += 1;
        } else {
            match Record::parse(bytes) {
                Ok(record) => match record.body {
                    Body::Frame(frame) => match Header::parse(&frame) {
                        Ok(header) => {
                            frames = 1;
                            if let (Some(sid), Some(seq)) = (header.sid, header.seq) {
                                let walk = walks.entry(session.clone()).or_default();
                                let repeat =
                                    walk.step(record.conn.unwrap_or(0), (sid, seq), header.kind());
                                self.proof.repeats += u64::from(repeat);
                            }
                        }
                        Err(_) if !ended => self.proof.torn += 1,
                        Err(_) => self.damage(number, "the frame is not JSON"),
                    },
                    Body::Event(event) => {
                        self.event(record.conn, *event, session, walks);
                    }
                },
                Err(_) if !ended => self.proof.torn += 1,
                Err(error) => self.damage(number, &error.to_string()),
            }
        }
        self.proof.frames += frames;
        if self.seal.is_none() {
            self.sealer.add(bytes, 1, frames);
            self.sealer.add(if ended { b"\n" } else { b"" }, 0, 0);
        }
    }

    fn event(
        &mut self,
        conn: Option<u32>,
        event: Event<'_>,
        session: &mut String,
        walks: &mut BTreeMap<String, Walk>,
    ) {
        self.proof.events += 1;
        let conn = conn.unwrap_or(0);
        if let Event::Session(info) = event {
            let said = (info.session.into_owned(), info.segment);
            if self.named.as_ref().is_some_and(|named| *named != said) {
                let what = format!("segment {} of session {}, not as named", said.1, said.0);
                self.damage(self.proof.lines, &what);
            } else {
                session.clone_from(&said.0);
                self.proof.session = Some(said.0);
                self.number = Some(said.1);
            }
        } else if let Event::Connected { .. } = event {
            let walk = walks.entry(session.clone()).or_default();
            walk.sequences.insert(conn, Sequences::from_start());
        } else if let Event::Gap { sid, expected, got } = event {
            let walk = walks.entry(session.clone()).or_default();
            walk.declared.insert((conn, sid, expected, got));
            walk.last.insert((conn, sid, expected, got));
        } else if let Event::Closed(seal) = event {
            self.seal = Some(seal);
        }
    }

    fn damaged(&mut self, what: String) {
        self.proof.damage.push(what);
        self.proof.state = SegmentState::Damaged;
    }

    fn damage(&mut self, line: u64, what: &str) {
        /// Of a file full of rubbish, this much is enough to see it.
        const LIST_MAX: usize = 20;
        if self.proof.damage.len() < LIST_MAX {
            self.proof.damage.push(format!("line {line}: {what}"));
        }
    }

    fn judge(&mut self, layout: Layout) {
        let last = self.proof.lines;
        match &self.seal {
            Some(seal) => {
                let mut wrong = String::new();
                let found = self.sealer.seal();
                for (name, found, said) in [
                    ("lines", found.lines, seal.lines),
                    ("frames", found.frames, seal.frames),
                    ("bytes", found.bytes, seal.bytes),
                ] {
                    if found != said {
                        let _ = write!(wrong, "{name} {found}, not {said} as sealed; ");
                    }
                }
                if found.xxh128 != seal.xxh128 {
                    wrong.push_str("the digest is not the sealed one");
                }
                if !wrong.is_empty() {
                    self.damage(last, wrong.trim_end_matches("; "));
                }
            }
            // What was sealed once must still say so.
            None if layout != Layout::Open && self.proof.session.is_some() => {
                self.damage(last, "a sealed segment without its closing line");
            }
            None => {}
        }
        self.proof.state = if !self.proof.damage.is_empty() {
            SegmentState::Damaged
        } else if self.seal.is_some() {
            SegmentState::Proven
        } else {
            SegmentState::Open
        };
    }
}

impl fmt::Display for SegmentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Proven => "proven",
            Self::Open => "open",
            Self::Damaged => "damaged",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::tape::{
        FORMAT, SegmentWriter, SessionInfo, Stamp, compress, write_event, write_frame,
    };

    /// A session of two sealed segments: 2 x 50 frames of one subscription, without the numbers in
    /// `lost`, which are declared if `declared`.
    fn record(folder: &Path, lost: &[u64], declared: bool) -> Vec<PathBuf> {
        let mut last = 0;
        (0..2).map(|number| segment(folder, number, &mut last, lost, declared).0).collect()
    }

    /// One segment of the session, after the frame `last`.
    fn segment(
        folder: &Path,
        number: u32,
        last: &mut u64,
        lost: &[u64],
        declared: bool,
    ) -> (PathBuf, Seal) {
        let stamp = Stamp { start_ns: 0, session: "3f9a1c07be52".into(), number };
        let mut segment = SegmentWriter::create(folder, &stamp).unwrap();
        let mut lines = Vec::new();
        let config = serde_json::value::to_raw_value(&()).unwrap();
        let info = SessionInfo {
            format: FORMAT,
            session: "3f9a1c07be52".into(),
            segment: number,
            version: "0".into(),
            env: "sandbox".into(),
            host: "h".into(),
            config: std::borrow::Cow::Owned(config),
        };
        write_event(&mut lines, 0, None, &Event::Session(info));
        let mut count = (1, 0);
        if number == 0 {
            let connected = Event::Connected { url: "ws://localhost".into(), markets: 1 };
            write_event(&mut lines, 0, Some(1), &connected);
            count.0 += 1;
        }
        let first = u64::from(number) * 50 + 1;
        for seq in (first..first + 50).filter(|seq| !lost.contains(seq)) {
            if seq != *last + 1 && declared {
                let gap = Event::Gap { sid: 2, expected: *last + 1, got: seq };
                write_event(&mut lines, 0, Some(1), &gap);
                count.0 += 1;
            }
            *last = seq;
            let frame = format!(r#"{{"type":"orderbook_delta","sid":2,"seq":{seq}}}"#);
            write_frame(&mut lines, i64::try_from(seq).unwrap(), 1, &frame);
            count = (count.0 + 1, count.1 + 1);
        }
        segment.append(&lines, count.0, count.1).unwrap();
        if number == 1 { segment.seal_last(100) } else { segment.seal(100) }.unwrap()
    }

    fn proof(folder: &Path) -> Proof {
        verify(&Archive::open(folder).unwrap(), |_| {}).unwrap()
    }

    #[test]
    fn a_whole_archive_is_proven_raw_and_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let files = record(folder.path(), &[], true);
        assert!(!proof(folder.path()).is_damaged());
        for file in &files {
            let lines = fs::read_to_string(file).unwrap();
            let (_, closed) = lines.trim_end().rsplit_once('\n').unwrap();
            let Body::Event(event) = Record::parse(closed.as_bytes()).unwrap().body else {
                panic!()
            };
            let Event::Closed(seal) = *event else { panic!() };
            compress(file, &seal).unwrap();
        }
        let proof = proof(folder.path());
        assert!(!proof.is_damaged(), "{proof:?}");
        assert!(proof.segments.iter().all(|s| s.state == SegmentState::Proven && s.frames == 50));
        assert!(proof.holes.is_empty());
    }

    #[test]
    fn a_hole_is_damage_unless_it_was_declared() {
        for declared in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            // One inside a segment, one across the seam, one at the start of the connection.
            record(folder.path(), &[1, 20, 21, 50, 51], declared);
            let proof = proof(folder.path());
            let holes: Vec<_> = proof.holes.iter().map(|h| (h.expected, h.got)).collect();
            assert_eq!(holes, [(1, 2), (20, 22), (50, 52)]);
            assert!(proof.holes.iter().all(|hole| hole.found && hole.declared == declared));
            assert_eq!(proof.is_damaged(), !declared);
        }
    }

    #[test]
    fn one_changed_byte_is_found_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = record(folder.path(), &[], true).remove(0);
        let whole = fs::read(&file).unwrap();
        // The closing line speaks of what stands before it.
        let closing = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap();
        for at in (0..closing).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&file, &bytes).unwrap();
            assert!(proof(folder.path()).is_damaged(), "byte {at} of {}", whole.len());
        }
    }

    #[test]
    fn a_snapshot_whose_number_had_come_starts_the_count_anew_as_when_it_was_recorded() {
        let (snapshot, delta) = ("orderbook_snapshot", "orderbook_delta");
        for (kind, found) in
            [(snapshot, vec![(1, 2, 2, 3), (1, 2, 3, 4)]), (delta, vec![(1, 2, 2, 3)])]
        {
            let mut walk = Walk::default();
            let steps = [(1, snapshot), (3, snapshot), (2, kind), (4, delta)];
            let repeats = steps.map(|(seq, kind)| walk.step(1, (2, seq), kind));
            assert_eq!(repeats, [false, false, true, false]);
            assert_eq!(walk.found.into_iter().collect::<Vec<_>>(), found);
        }
    }

    #[test]
    fn a_missing_segment_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = record(folder.path(), &[], true);
        fs::remove_file(&files[0]).unwrap();
        let proof = proof(folder.path());
        assert_eq!(proof.missing, ["segment 0 of session 3f9a1c07be52"]);
        assert!(proof.is_damaged());
    }

    #[test]
    fn a_torn_tail_of_an_open_segment_is_no_damage_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = record(folder.path(), &[], true).remove(1);
        let whole = fs::read(&file).unwrap();
        let open = file.with_file_name("19700101T000000Z-3f9a1c07be52-0001.jsonl");
        fs::remove_file(&file).unwrap();
        let closing = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        for cut in 0..closing {
            fs::write(&open, &whole[..cut]).unwrap();
            let proof = proof(folder.path());
            assert!(!proof.is_damaged(), "cut at {cut}: {proof:?}");
            assert!(proof.segments.iter().map(|s| s.torn).sum::<u64>() <= 1);
        }
    }

    #[test]
    fn a_sealed_file_that_is_cut_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let file = record(folder.path(), &[], true).remove(1);
        let whole = fs::read(&file).unwrap();
        for cut in [whole.len() - 1, whole.len() - 2, whole.len() - 40, whole.len() / 2, 300] {
            fs::write(&file, &whole[..cut]).unwrap();
            let damaged = proof(folder.path()).is_damaged();
            // Only the last line break can go without anything being lost.
            assert_eq!(damaged, cut != whole.len() - 1, "cut at {cut} of {}", whole.len());
        }
    }

    #[test]
    fn a_sealed_segment_that_was_overwritten_is_damaged_by_its_name() {
        for rubbish in [vec![], vec![0; 4096], b"\n\n\n".to_vec()] {
            let folder = tempfile::tempdir().unwrap();
            let file = record(folder.path(), &[], true).remove(1);
            fs::write(&file, &rubbish).unwrap();
            let found = proof(folder.path());
            assert_eq!(found.segments[1].state, SegmentState::Damaged, "{found:?}");
            assert_eq!(found.segments[1].session.as_deref(), Some("3f9a1c07be52"));
            fs::remove_file(&file).unwrap();
            let compressed = file.with_file_name("19700101T000000Z-3f9a1c07be52-0001.jsonl.zst");
            for bytes in [zstd::encode_all(&*rubbish, 3).unwrap(), rubbish] {
                fs::write(&compressed, bytes).unwrap();
                assert!(proof(folder.path()).is_damaged());
            }
            // Nobody promised that another recorder's file ends in a closing line.
            fs::rename(&compressed, compressed.with_file_name("KXA-0001.jsonl.zst")).unwrap();
            fs::write(folder.path().join("KXA-0002.sealed.jsonl"), "").unwrap();
            let foreign = compressed.with_file_name("KXA-0001.jsonl.zst");
            fs::write(foreign, zstd::encode_all(&b"\n"[..], 3).unwrap()).unwrap();
            assert!(!proof(folder.path()).is_damaged());
        }
    }

    #[test]
    fn a_segment_under_another_name_is_damaged() {
        for name in ["3f9a1c07be52-0002", "3f9a1c07be53-0001"] {
            let folder = tempfile::tempdir().unwrap();
            let file = record(folder.path(), &[], true).remove(1);
            let other = file.with_file_name(format!("19700101T000000Z-{name}.sealed.jsonl"));
            fs::rename(&file, other).unwrap();
            let proof = proof(folder.path());
            assert!(proof.segments.iter().any(|s| !s.damage.is_empty()), "{proof:?}");
        }
    }

    #[test]
    fn a_gap_whose_frame_was_cut_off_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let file = record(folder.path(), &[80, 81], true).remove(1);
        let whole = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let open = file.with_file_name("19700101T000000Z-3f9a1c07be52-0001.jsonl");
        let gap = whole.find(r#""event":"gap""#).unwrap();
        let after = gap + whole[gap..].find('\n').unwrap() + 1;
        let frame = after + whole[after..].find('\n').unwrap();
        for cut in after - 1..frame {
            fs::write(&open, &whole[..cut]).unwrap();
            let proof = proof(folder.path());
            assert!(!proof.is_damaged(), "cut at {cut}: {proof:?}");
        }
        // The walk goes past it, and what was declared is not there.
        let lie = whole[after..].replacen(r#""seq":82"#, r#""seq":79"#, 1);
        fs::write(&open, format!("{}{lie}", &whole[..after])).unwrap();
        assert!(proof(folder.path()).is_damaged());
    }

    #[test]
    fn a_session_whose_newest_segments_are_gone_has_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let files = record(folder.path(), &[], true);
        assert!(proof(folder.path()).unended.is_empty());
        fs::remove_file(&files[1]).unwrap();
        let proof = proof(folder.path());
        assert!(!proof.is_damaged());
        assert_eq!(
            proof.unended,
            ["session 3f9a1c07be52 has no end: its last segment 0 was rotated, later ones are \
              missing or still being written"]
        );
    }

    #[test]
    fn a_segment_that_is_there_twice_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let file = record(folder.path(), &[], true).remove(0);
        let copies = folder.path().join("copies");
        fs::create_dir(&copies).unwrap();
        fs::copy(&file, copies.join(file.file_name().unwrap())).unwrap();
        let proof = proof(folder.path());
        assert!(proof.is_damaged());
        let damage: Vec<_> = proof.segments.iter().flat_map(|s| &s.damage).collect();
        assert_eq!(damage, ["segment 0 of session 3f9a1c07be52 twice"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_segment_that_cannot_be_opened_is_damaged_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = record(folder.path(), &[], true);
        let archive = Archive::open(folder.path()).unwrap();
        fs::remove_file(&files[0]).unwrap();
        let proof = verify(&archive, |_| {}).unwrap();
        let states: Vec<_> = proof.segments.iter().map(|s| s.state).collect();
        assert_eq!(states, [SegmentState::Damaged, SegmentState::Proven]);
    }

    #[test]
    fn a_segment_may_move_on_between_listing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let files = record(folder.path(), &[], true);
        let open = files[1].with_file_name("19700101T000000Z-3f9a1c07be52-0001.jsonl");
        fs::rename(&files[1], &open).unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        fs::rename(&open, &files[1]).unwrap();
        let bytes = fs::read(&files[0]).unwrap();
        let compressed = files[0].with_file_name("19700101T000000Z-3f9a1c07be52-0000.jsonl.zst");
        fs::write(&compressed, zstd::encode_all(&*bytes, 3).unwrap()).unwrap();
        fs::remove_file(&files[0]).unwrap();
        let proof = verify(&archive, |_| {}).unwrap();
        assert!(!proof.is_damaged(), "{proof:?}");
        let paths: Vec<_> = proof.segments.iter().map(|s| s.path.clone()).collect();
        assert_eq!(paths, [compressed, files[1].clone()]);
    }

    #[test]
    fn an_archive_is_verified_while_it_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let over = || stop.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..9_000 {
                    let file =
                        segment(folder.path(), number, &mut u64::from(number * 50), &[], true);
                    if number % 3 > 0 {
                        compress(&file.0, &file.1).unwrap();
                    }
                    if over() {
                        break;
                    }
                }
            });
            let start = std::time::Instant::now();
            let mut rounds = 0;
            while start.elapsed() < std::time::Duration::from_millis(1_500) {
                let proof = Archive::open(folder.path()).and_then(|a| verify(&a, |_| {}));
                let wrong = match &proof {
                    Ok(proof) if !proof.is_damaged() => None,
                    Ok(proof) => {
                        let damage: Vec<_> =
                            proof.segments.iter().flat_map(|s| &s.damage).collect();
                        Some(format!("{damage:?} {:?} {:?}", proof.missing, proof.holes))
                    }
                    Err(error) => Some(format!("{error:?}")),
                };
                if let Some(wrong) = wrong {
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                    panic!("round {rounds}: {wrong}");
                }
                rounds += 1;
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(rounds > 1);
        });
    }
}
