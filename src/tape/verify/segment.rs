//! Checking one segment: each line, the counts, the digest.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{SegmentProof, SegmentState, walk::Walk};
use crate::protocol::{Header, Message};
use crate::tape::{Body, Event, Layout, Record, Seal, Segment, Stamp, seal::Sealer};

/// What is known of a segment while it is read.
pub(super) struct SegmentCheck {
    pub(super) proof: SegmentProof,
    pub(super) number: Option<u32>,
    sealer: Sealer,
    pub(super) seal: Option<Seal>,
    /// The session and the number in the name, if it is one of ours.
    named: Option<(String, u32)>,
}

impl SegmentCheck {
    pub(super) fn of(segment: &Segment) -> Self {
        let named = Stamp::parse(&segment.stem()).map(|(name, n)| (name.to_owned(), n));
        let (session, number) = named.clone().unzip();
        let path = segment.path.clone();
        let proof = SegmentProof { path, session, ..SegmentProof::default() };
        Self { proof, number, sealer: Sealer::default(), seal: None, named }
    }

    pub(super) fn read(&mut self, segment: &Segment, walks: &mut BTreeMap<String, Walk>) {
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
                                let conn = record.conn.unwrap_or(0);
                                let repeat = walk.step(conn, (sid, seq), header.kind());
                                self.proof.repeats += u64::from(repeat);
                            }
                            if header.kind() == "subscribed"
                                && let Ok(Message::Subscribed(reply)) = Message::parse(&header)
                            {
                                let walk = walks.entry(session.clone()).or_default();
                                walk.subscribe(record.conn.unwrap_or(0), reply.sid);
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
            walks.entry(session.clone()).or_default().connect(conn);
        } else if let Event::Gap { sid, expected, got } = event {
            walks.entry(session.clone()).or_default().declare(conn, sid, expected, got);
        } else if let Event::Closed(seal) = event {
            self.seal = Some(seal);
        }
    }

    pub(super) fn damaged(&mut self, what: String) {
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
