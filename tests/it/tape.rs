//! Small tapes, written as the text that a recorder writes.

use std::{fmt::Display, fs, path::Path, sync::Arc};

use kalshi_orderbook::{analysis::Analyzer, lake::LoadReport};
use tempfile::TempDir;

pub(crate) const T0: i64 = 1_778_477_600_000_000_000;
pub(crate) const A: &str = "KXA-26MAY11-T1";
pub(crate) const B: &str = "KXA-26MAY11-T2.5";

/// `T0` and some seconds.
pub(crate) fn at(seconds: i64) -> i64 {
    T0 + seconds * 1_000_000_000
}

/// A log folder that is filled line by line.
pub(crate) struct Tape {
    pub(crate) folder: Arc<TempDir>,
    text: String,
}

impl Tape {
    pub(crate) fn new() -> Self {
        Self { folder: Arc::new(tempfile::tempdir().unwrap()), text: String::new() }
    }

    /// A tape of our own recorder: it begins with a session.
    pub(crate) fn session(name: &str) -> Self {
        Self::new().and_session(name, 0)
    }

    pub(crate) fn and_session(self, name: &str, segment: u32) -> Self {
        self.line(format!(
            r#"{{"recv_ns":{T0},"event":"session","format":1,"session":"{name}","segment":{segment},"version":"0.1.0","env":"prod","host":"h","config":{{}}}}"#
        ))
    }

    pub(crate) fn line(mut self, line: impl Display) -> Self {
        self.text += &format!("{line}\n");
        self
    }

    pub(crate) fn event(self, seconds: i64, conn: u32, event: &str) -> Self {
        self.line(format!(r#"{{"recv_ns":{},"conn":{conn},"event":{event}}}"#, at(seconds)))
    }

    pub(crate) fn connected(self, seconds: i64, conn: u32) -> Self {
        self.event(seconds, conn, r#""connected","url":"wss://x","markets":2"#)
    }

    pub(crate) fn frame(self, seconds: i64, conn: u32, frame: impl Display) -> Self {
        self.line(format!(r#"{{"recv_ns":{},"conn":{conn},"frame":{frame}}}"#, at(seconds)))
    }

    /// The lines since the last file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Ends a file; lines after it go to the next.
    pub(crate) fn file(mut self, name: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, std::mem::take(&mut self.text)).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The last file, without its line break and some more.
    pub(crate) fn torn_file(mut self, name: &str, cut: usize) -> Self {
        self.text.truncate(self.text.len() - 1 - cut);
        self.file(name)
    }

    pub(crate) fn load(&self) -> Loaded {
        let analyzer = Analyzer::new().unwrap();
        analyzer.load_logs(self.path()).unwrap();
        assert!(analyzer.report().total().is_conserved());
        Loaded { analyzer, _folder: Arc::clone(&self.folder) }
    }
}

/// An analyzer, and the folder that its lake lies in.
pub(crate) struct Loaded {
    analyzer: Analyzer,
    _folder: Arc<TempDir>,
}

impl Loaded {
    /// A log folder that is only to be read: its lake lies elsewhere.
    pub(crate) fn elsewhere(logs: &Path) -> (Self, LoadReport) {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let analyzer = Analyzer::new().unwrap();
        let report = analyzer.load(logs, Some(folder.path()), &|_, _| {}).unwrap();
        (Self { analyzer, _folder: folder }, report)
    }
}

impl std::ops::Deref for Loaded {
    type Target = Analyzer;

    fn deref(&self) -> &Analyzer {
        &self.analyzer
    }
}

/// Levels as the exchange prints them today.
fn levels(levels: &[(&str, &str)]) -> String {
    let levels: Vec<_> = levels.iter().map(|(p, s)| format!(r#"["{p}","{s}"]"#)).collect();
    format!("[{}]", levels.join(","))
}

pub(crate) fn snapshot(
    sid: u32,
    seq: u64,
    ticker: &str,
    yes: &[(&str, &str)],
    no: &[(&str, &str)],
) -> String {
    let side = |name, side: &[(&str, &str)]| match side {
        [] => String::new(),
        side => format!(r#","{name}_dollars_fp":{}"#, levels(side)),
    };
    format!(
        r#"{{"type":"orderbook_snapshot","sid":{sid},"seq":{seq},"msg":{{"market_ticker":"{ticker}","market_id":"5e6b"{}{}}}}}"#,
        side("yes", yes),
        side("no", no)
    )
}

pub(crate) fn delta(
    sid: u32,
    seq: u64,
    ticker: &str,
    side: &str,
    price: &str,
    change: &str,
) -> String {
    format!(
        r#"{{"type":"orderbook_delta","sid":{sid},"seq":{seq},"msg":{{"market_ticker":"{ticker}","market_id":"5e6b","price_dollars":"{price}","delta_fp":"{change}","side":"{side}","ts":"2026-05-11T05:33:20.5Z","ts_ms":1778477600500}}}}"#
    )
}

pub(crate) fn trade(
    sid: u32,
    seq: u64,
    ticker: &str,
    id: &str,
    price: &str,
    size: &str,
    more: &str,
) -> String {
    format!(
        r#"{{"type":"trade","sid":{sid},"seq":{seq},"msg":{{"trade_id":"{id}","market_ticker":"{ticker}","yes_price_dollars":"{price}","count_fp":"{size}","taker_side":"yes","ts":1778477600{more}}}}}"#
    )
}

pub(crate) fn ticker(sid: u32, ticker: &str, price: &str) -> String {
    format!(
        r#"{{"type":"ticker","sid":{sid},"msg":{{"market_ticker":"{ticker}","price_dollars":"{price}","yes_bid_dollars":"0.4700","yes_ask_dollars":"0.5200","volume_fp":"10.00","ts":1778477600}}}}"#
    )
}

/// The levels of a book, best first: `yes 0.4700x3.00 no 0.4800x2.00`.
pub(crate) fn text(book: &kalshi_orderbook::book::Book) -> String {
    use kalshi_orderbook::protocol::Side;
    let side = |side| {
        let levels: Vec<_> = book.levels(side).map(|(p, s)| format!("{p}x{s}")).collect();
        levels.join(" ")
    };
    format!("yes {} no {}", side(Side::Yes), side(Side::No))
}
