//! A recording of one connection at a time, line by line, told without the library's own rules:
//! which books a reader would have in the end, and how often something was tried.

use std::{collections::BTreeSet, path::Path};

use kalshi_orderbook::tape::{Archive, Body, Event, Reader, Record};
use serde_json::Value;

/// The subscription to books; the recorder asks for it first.
pub(crate) const BOOKS: u64 = 1;
const NS_PER_S: i64 = 1_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct Story {
    /// Events other than those of every recording: their names, in order.
    pub(crate) troubles: Vec<String>,
    /// Of the newest connection: the markets whose book is known, and the book frames since it
    /// was last not so.
    pub(crate) known: BTreeSet<String>,
    pub(crate) frames_since: usize,
    /// All frames.
    pub(crate) frames: usize,
    /// Errors of the exchange, by code.
    pub(crate) errors: Vec<i64>,
    commands_ns: Vec<i64>,
    attempts_ns: Vec<i64>,
}

impl Story {
    pub(crate) fn read(folder: &Path) -> Self {
        let mut story = Self::default();
        let Ok(archive) = Archive::open(folder) else { return story };
        for segment in archive.segments {
            let Ok(mut reader) = Reader::open(&segment.path) else { continue };
            while let Ok(Some(line)) = reader.next_line() {
                let Ok(record) = Record::parse(line.bytes) else { continue };
                let ns = record.recv_ns.unwrap();
                match record.body {
                    Body::Frame(text) => story.frame(&text),
                    Body::Event(event) => story.event(&event, ns),
                }
            }
        }
        story
    }

    /// Nothing is dark, and has not been for so many frames.
    pub(crate) fn is_calm(&self, markets: usize, frames: usize) -> bool {
        self.known.len() == markets && self.frames_since >= frames
    }

    /// The most commands, and attempts to connect, within any second.
    pub(crate) fn busiest_second(&self) -> (usize, usize) {
        let after = |times: &[i64], first: i64| {
            times.iter().filter(|t| (first..first + NS_PER_S).contains(*t)).count()
        };
        let most = |times: &[i64]| times.iter().map(|t| after(times, *t)).max().unwrap_or(0);
        (most(&self.commands_ns), most(&self.attempts_ns))
    }

    fn unsure(&mut self) {
        self.known.clear();
        self.frames_since = 0;
    }

    fn frame(&mut self, text: &str) {
        self.frames += 1;
        // Most frames; and nobody would parse 64 MiB for nothing.
        if !text.contains("orderbook_") && !text.contains(r#""error""#) {
            return;
        }
        let frame: Value = serde_json::from_str(text).unwrap();
        match frame["type"].as_str().unwrap_or_default() {
            "orderbook_snapshot" => {
                let ticker = frame["msg"]["market_ticker"].as_str().unwrap();
                if self.known.insert(ticker.to_owned()) {
                    self.frames_since = 0;
                }
            }
            "orderbook_delta" => self.frames_since += 1,
            "error" => {
                let code = frame["msg"]["code"].as_i64().unwrap();
                self.errors.push(code);
                if [10, 17, 25].contains(&code) && frame["sid"] == BOOKS {
                    self.unsure();
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, event: &Event<'_>, ns: i64) {
        if let Event::Session(_) | Event::Plan { .. } | Event::Closed(_) = event {
            return;
        } else if let Event::Sent { .. } = event {
            return self.commands_ns.push(ns);
        } else if let Event::Connected { .. } = event {
            self.unsure();
            return self.attempts_ns.push(ns);
        } else if let Event::NotConnected { .. } = event {
            self.attempts_ns.push(ns);
        } else if let Event::Gap { sid: BOOKS, .. } | Event::Repeat { sid: BOOKS, .. } = event {
            self.unsure();
        } else if let Event::Ended { sid: BOOKS } = event {
            self.unsure();
        } else if let Event::Disconnected { cause } = event {
            if cause == "stopped" {
                return;
            }
            self.unsure();
        }
        let text = format!("{event:?}");
        let name = text.split([' ', '(', '{']).next().unwrap();
        self.troubles.push(snake(name));
    }
}

/// A variant's name as it stands on the tape.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}
