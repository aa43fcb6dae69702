//! A second way from lines to books, as plain as it can be: every line is read as JSON text, every
//! number by text arithmetic, every book rebuilt from its first frame. It shares nothing with the
//! library, so that the two cannot be wrong together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Price in 1e-4 dollar to size in 0.01 contract.
pub(crate) type Ladder = BTreeMap<i64, i64>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ladders {
    pub(crate) yes: Ladder,
    pub(crate) no: Ladder,
}

/// Everything in some files.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) files: Vec<Lines>,
    /// One a session, connection and subscription that numbers its frames, in file order.
    pub(crate) streams: Vec<Stream>,
}

/// What the lines of a file are.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) path: PathBuf,
    pub(crate) lines: u64,
    pub(crate) frames: u64,
    pub(crate) events: u64,
    pub(crate) blank: u64,
    pub(crate) torn: u64,
    pub(crate) rubbish: u64,
    pub(crate) bytes: u64,
    /// Frames by their `type`.
    pub(crate) kinds: BTreeMap<String, u64>,
}

/// The numbered frames of one subscription.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Which session within the file; a session may go over several files.
    session: String,
    pub(crate) conn: u64,
    pub(crate) sid: u64,
    pub(crate) steps: Vec<Step>,
    /// The last frame of the connection, and the last line.
    last_frame_ns: i64,
    last_line_ns: i64,
}

#[derive(Debug)]
pub(crate) struct Step {
    /// When it came; without a receive time when it happened. A frame that has neither has the
    /// time of the frame before it, and the first ones that of the first frame that has one.
    pub(crate) ns: i64,
    pub(crate) seq: u64,
    lost_before: bool,
    pub(crate) ticker: String,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Snapshot(Ladders),
    /// Whether it is YES, the price, the size.
    Delta(bool, i64, i64),
    /// The subscription has ended.
    End,
    Other,
}

/// Whether a book is known to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    No,
    /// Between the last frame of a connection and the line that says it has ended.
    Perhaps,
    Yes,
}

/// A market's book on a stream after so many steps.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) known: bool,
    /// The book while it is known, else the last that was; none before the first snapshot.
    pub(crate) book: Option<Ladders>,
    /// The number and time of the frame that made it so.
    pub(crate) mark: Option<(u64, i64)>,
    pub(crate) negative: bool,
}

/// `"12.5"` in units of ten to the minus `places`; nothing is rounded.
pub(crate) fn decimal(text: &str, places: usize) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    assert!(fraction.len() <= places, "{text} is finer than {places} places");
    sign * format!("{whole}{fraction:0<places$}").parse::<i64>().unwrap()
}

/// `2026-05-14T04:38:12.188698Z` in nanoseconds since 1970, by counting days.
pub(crate) fn instant(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let leap = |y: i64| i64::from(y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
    let months = [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: i64 = (1970..year).map(|y| 365 + leap(y)).sum();
    let days =
        years + months.iter().take(usize::try_from(month - 1).unwrap()).sum::<i64>() + day - 1;
    let seconds = days * 86_400 + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19);
    assert!(text.ends_with('Z'), "{text}");
    let fraction = text[19..].trim_start_matches('.').trim_end_matches('Z');
    seconds * 1_000_000_000 + format!("{fraction:0<9}").parse::<i64>().unwrap()
}

/// Levels of a side: the finest encoding that is there.
fn ladder(msg: &Value, side: &str) -> Ladder {
    let fine = |key: String, size: fn(&Value) -> i64| {
        let levels = msg.get(key)?.as_array()?;
        Some(levels.iter().map(|l| (decimal(l[0].as_str().unwrap(), 4), size(&l[1]))).collect())
    };
    let text = |v: &Value| decimal(v.as_str().unwrap(), 2);
    let whole = |v: &Value| v.as_i64().unwrap() * 100;
    fine(format!("{side}_dollars_fp"), text)
        .or_else(|| fine(format!("{side}_dollars"), whole))
        .or_else(|| {
            let levels = msg.get(side)?.as_array()?.iter();
            Some(levels.map(|l| (l[0].as_i64().unwrap() * 100, whole(&l[1]))).collect())
        })
        .unwrap_or_default()
}

fn change(kind: &str, msg: &Value) -> Change {
    match kind {
        "orderbook_snapshot" => {
            let mut ladders = Ladders { yes: ladder(msg, "yes"), no: ladder(msg, "no") };
            ladders.yes.retain(|_, size| *size != 0);
            ladders.no.retain(|_, size| *size != 0);
            Change::Snapshot(ladders)
        }
        "orderbook_delta" => {
            let price = match msg.get("price_dollars").and_then(Value::as_str) {
                Some(text) => decimal(text, 4),
                None => msg["price"].as_i64().unwrap() * 100,
            };
            let size = match msg.get("delta_fp").and_then(Value::as_str) {
                Some(text) => decimal(text, 2),
                None => msg["delta"].as_i64().unwrap() * 100,
            };
            Change::Delta(msg["side"] == "yes", price, size)
        }
        "unsubscribed" => Change::End,
        "error" if [10, 25].iter().any(|code| msg["code"] == *code) => Change::End,
        _ => Change::Other,
    }
}

/// All of a file's text.
pub(crate) fn text_of(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|e| e == "zst") {
        zstd::Decoder::new(File::open(path).unwrap()).unwrap().read_to_end(&mut bytes).unwrap();
    } else {
        File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    }
    bytes
}

/// The `.jsonl` and `.jsonl.zst` files of a folder and its day folders, sorted.
pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else if name.ends_with(".jsonl") || name.ends_with(".jsonl.zst") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A session being read.
#[derive(Default)]
struct Reading {
    session: String,
    /// Where the file's streams begin.
    first_stream: usize,
    /// Bare frames: how many sessions the file has held before.
    restarts: usize,
    clock: Option<i64>,
    last_seq: BTreeMap<(u64, u64), u64>,
}

impl Recording {
    pub(crate) fn read(files: &[PathBuf]) -> Self {
        let mut recording = Self::default();
        for path in files {
            recording.read_file(path);
        }
        recording
    }

    fn read_file(&mut self, path: &Path) {
        let bytes = text_of(path);
        let mut counts =
            Lines { path: path.to_owned(), bytes: bytes.len() as u64, ..Lines::default() };
        let name = path.display().to_string();
        let first_stream = self.streams.len();
        let mut reading = Reading { session: name, first_stream, ..Reading::default() };
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            counts.lines += 1;
            let text = line.trim_ascii();
            if text.is_empty() {
                counts.blank += 1;
                continue;
            }
            let Ok(Value::Object(record)) = serde_json::from_slice(text) else {
                *(if line.ends_with(b"\n") { &mut counts.rubbish } else { &mut counts.torn }) += 1;
                continue;
            };
            let ns = ["recv_ns", "recv_ts_ns"].iter().find_map(|k| record.get(*k)?.as_i64());
            let conn = record.get("conn").and_then(Value::as_u64);
            if let Some(event) = record.get("event") {
                counts.events += 1;
                if event == "session" {
                    reading.session = record["session"].as_str().unwrap().to_owned();
                    let number = record["segment"].as_u64();
                    assert_eq!(number, Some(0), "one segment is enough for these tests");
                }
                if let Some(conn) = conn {
                    self.seen(&reading, conn, ns.unwrap(), false);
                }
                continue;
            }
            let bare = !record.contains_key("frame") && !record.contains_key("raw");
            let frame = match record.get("frame").or_else(|| record.get("raw")) {
                Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
                Some(frame) => frame.clone(),
                None => Value::Object(record),
            };
            if bare && frame.get("type").is_none() {
                counts.rubbish += 1;
                continue;
            }
            counts.frames += 1;
            let kind = frame["type"].as_str().unwrap_or_default().to_owned();
            *counts.kinds.entry(kind.clone()).or_default() += 1;
            self.take(&mut reading, path, ns, conn.unwrap_or(1), &kind, &frame);
        }
        self.files.push(counts);
    }

    fn take(
        &mut self,
        reading: &mut Reading,
        path: &Path,
        recv_ns: Option<i64>,
        conn: u64,
        kind: &str,
        frame: &Value,
    ) {
        let (sid, seq) = (frame["sid"].as_u64(), frame["seq"].as_u64());
        let msg = &frame["msg"];
        let last = sid.and_then(|sid| reading.last_seq.get(&(conn, sid)).copied());
        let repeated = seq.zip(last).is_some_and(|(seq, last)| seq <= last);
        if repeated && recv_ns.is_none() {
            // Another session was appended to the file.
            reading.restarts += 1;
            reading.session = format!("{} #{}", path.display(), reading.restarts);
            reading.last_seq.clear();
            reading.clock = None;
        } else if repeated {
            return;
        }
        let told = recv_ns.or_else(|| {
            let millis = || Some(msg.get("ts_ms")?.as_i64()? * 1_000_000);
            msg.get("ts").and_then(Value::as_str).map(instant).or_else(millis)
        });
        // Event times fall now and then by some ms; what came later is not earlier.
        reading.clock = told.max(reading.clock);
        let ns = recv_ns.or(reading.clock).unwrap_or(i64::MIN);
        if let Some((sid, seq)) = sid.zip(seq) {
            let last = reading.last_seq.insert((conn, sid), seq);
            let at = |s: &Stream| (s.conn, s.sid) == (conn, sid) && s.session == reading.session;
            let own = &self.streams[reading.first_stream..];
            let place = own.iter().position(at).map(|place| reading.first_stream + place);
            let place = place.unwrap_or_else(|| {
                let session = reading.session.clone();
                let (last_frame_ns, last_line_ns) = (ns, ns);
                let steps = Vec::new();
                self.streams.push(Stream {
                    session,
                    conn,
                    sid,
                    steps,
                    last_frame_ns,
                    last_line_ns,
                });
                self.streams.len() - 1
            });
            let steps = &mut self.streams[place].steps;
            // The first frames of a session have no time before its first timed one.
            let early = steps.iter_mut().take_while(|step| step.ns == i64::MIN);
            early.for_each(|step| step.ns = ns);
            assert!(steps.last().is_none_or(|s| s.ns <= ns), "time fell in {}", path.display());
            steps.push(Step {
                ns,
                seq,
                lost_before: last.is_some_and(|last| seq > last + 1),
                ticker: msg["market_ticker"].as_str().unwrap_or_default().to_owned(),
                change: change(kind, msg),
            });
        }
        self.seen(reading, conn, ns, true);
    }

    /// A line of a connection.
    fn seen(&mut self, reading: &Reading, conn: u64, ns: i64, frame: bool) {
        for stream in &mut self.streams[reading.first_stream..] {
            if stream.session == reading.session && stream.conn == conn {
                stream.last_line_ns = stream.last_line_ns.max(ns);
                if frame {
                    stream.last_frame_ns = stream.last_frame_ns.max(ns);
                }
            }
        }
    }

    /// The markets with a book frame.
    pub(crate) fn markets(&self) -> BTreeSet<String> {
        let steps = self.streams.iter().flat_map(|stream| &stream.steps);
        steps.filter(|s| s.is_book()).map(|step| step.ticker.clone()).collect()
    }

    /// The streams that tell of a market's book.
    pub(crate) fn streams_of(&self, ticker: &str) -> Vec<&Stream> {
        let tells = |stream: &&Stream| {
            stream.steps.iter().any(|step| step.is_book() && step.ticker == ticker)
        };
        self.streams.iter().filter(tells).collect()
    }
}

impl Step {
    pub(crate) fn is_snapshot(&self) -> bool {
        matches!(self.change, Change::Snapshot(_))
    }

    pub(crate) fn is_book(&self) -> bool {
        matches!(self.change, Change::Snapshot(_) | Change::Delta(..))
    }
}

impl Stream {
    /// How many steps have come by an instant, that instant included, and whether the stream told
    /// everything up to it.
    pub(crate) fn at(&self, ns: i64) -> (usize, Known) {
        let come = self.steps.partition_point(|step| step.ns <= ns);
        let known =
            match (come.checked_sub(1).and_then(|k| self.steps.get(k)), self.steps.get(come)) {
                (None, _) => Known::No,
                // What is lost may have been due from the frame before on.
                (Some(before), Some(next)) if next.lost_before && ns > before.ns => Known::No,
                (Some(_), Some(_)) => Known::Yes,
                (Some(_), None) if ns <= self.last_frame_ns => Known::Yes,
                (Some(_), None) if ns <= self.last_line_ns => Known::Perhaps,
                (Some(_), None) => Known::No,
            };
        (come, known)
    }

    /// How many steps it takes to have the frame of a number.
    pub(crate) fn at_seq(&self, seq: u64) -> Option<usize> {
        self.steps.iter().position(|step| step.seq == seq).map(|place| place + 1)
    }

    /// When something happens to what is known of a market: frames around a
    /// loss, snapshots, ends.
    pub(crate) fn edges(&self, ticker: &str) -> Vec<i64> {
        let lost = self.steps.windows(2).filter(|w| w[1].lost_before);
        let snapshot =
            |step: &&Step| step.ticker == ticker && matches!(step.change, Change::Snapshot(_));
        let mut edges = vec![self.last_frame_ns, self.last_line_ns];
        edges.extend(lost.flat_map(|w| [w[0].ns, w[1].ns]));
        let ended = |step: &&Step| matches!(step.change, Change::End);
        edges.extend(self.steps.iter().filter(ended).map(|step| step.ns));
        edges.extend(self.steps.iter().filter(snapshot).map(|step| step.ns));
        edges
    }

    /// A market's state after each of these numbers of steps, which must rise.
    pub(crate) fn states(&self, ticker: &str, after: &[usize]) -> Vec<State> {
        let mut state = State { known: false, book: None, mark: None, negative: false };
        let mut states = Vec::new();
        let mut done = 0;
        for &count in after {
            assert!(count >= done);
            for step in &self.steps[done..count] {
                state.take(step, ticker);
            }
            done = count;
            states.push(state.clone());
        }
        states
    }
}

impl State {
    fn take(&mut self, step: &Step, ticker: &str) {
        self.known &= !step.lost_before && !matches!(step.change, Change::End);
        if step.ticker != ticker {
            return;
        }
        match &step.change {
            Change::Snapshot(ladders) => {
                self.book = Some(ladders.clone());
                self.known = true;
                self.mark = Some((step.seq, step.ns));
            }
            &Change::Delta(yes, price, size) => {
                let Some(book) = self.book.as_mut().filter(|_| self.known) else { return };
                let side = if yes { &mut book.yes } else { &mut book.no };
                let left = side.get(&price).copied().unwrap_or(0) + size;
                if left < 0 {
                    // The last right book is the one before this.
                    (self.known, self.negative) = (false, true);
                    return;
                }
                if left == 0 {
                    side.remove(&price);
                } else {
                    side.insert(price, left);
                }
                self.mark = Some((step.seq, step.ns));
            }
            Change::End | Change::Other => {}
        }
    }
}

#[test]
fn decimals_are_read_as_text() {
    assert_eq!(decimal("0.4700", 4), 4_700);
    assert_eq!(decimal("0.080", 4), 800);
    assert_eq!(decimal("-17.25", 2), -1_725);
    assert_eq!(decimal("3", 2), 300);
    assert_eq!(decimal("-0.05", 2), -5);
}

#[test]
fn instants_are_read_as_text() {
    assert_eq!(instant("2026-05-14T04:31:24.394037Z"), 1_778_733_084_394_037_000);
    assert_eq!(instant("1970-01-01T00:00:00Z"), 0);
    assert_eq!(instant("2024-03-01T00:00:00.5Z"), 1_709_251_200_500_000_000);
}
