//! One connection of a session.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    ids::Ids,
    quote::{UNSET, known},
    stream::{End, Stream},
};
use crate::protocol::Sequences;

/// What is known of a connection.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Connection {
    pub(super) sequences: Sequences,
    pub(super) streams: Vec<Stream>,
    /// The time of the newest record, which never falls; unknown at the start of bare frames.
    pub(super) at: Option<i64>,
    pub(super) first_ns: i64,
    pub(super) frames: u64,
    /// Why it ended and when, once it has.
    pub(super) over: Option<(End, i64)>,
    /// `use_yes_price` of the book subscriptions sent, by command id.
    asked: HashMap<u64, bool>,
    /// The same of the newest one.
    yes_price: bool,
}

/// The part of a `subscribe` command that tells how to read the answers.
#[derive(Deserialize)]
struct Sent {
    id: Option<u64>,
    cmd: Option<String>,
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    channels: Vec<String>,
    use_yes_price: Option<bool>,
}

impl Connection {
    pub(super) fn new(sequences: Sequences) -> Self {
        Self {
            sequences,
            streams: Vec::new(),
            at: None,
            first_ns: UNSET,
            frames: 0,
            over: None,
            asked: HashMap::new(),
            yes_price: false,
        }
    }

    /// The stream of a subscription, made when it is new.
    pub(super) fn stream(&mut self, sid: Option<u64>, ids: &mut Ids) -> Option<&mut Stream> {
        // Of two with one sid, the later began when the numbers started anew.
        let found = match self.streams.iter().rposition(|stream| stream.sid == sid) {
            Some(found) => found,
            None => {
                self.streams.push(Stream::new(ids.next_stream(), sid, self.yes_price));
                self.streams.len() - 1
            }
        };
        self.streams.get_mut(found)
    }

    /// The numbers of a subscription start anew: what comes is another stream.
    pub(super) fn start_anew(&mut self, sid: u64, seq: u64, ids: &mut Ids) {
        self.sequences.restart(sid, seq);
        if let Some(old) = self.streams.iter().rfind(|stream| stream.sid == Some(sid)) {
            let mut stream = Stream::new(ids.next_stream(), old.sid, old.yes_price);
            stream.channel.clone_from(&old.channel);
            self.streams.push(stream);
        }
    }

    pub(super) fn has_stream(&self, sid: u64) -> bool {
        self.streams.iter().any(|stream| stream.sid == Some(sid))
    }

    /// Takes note of a command.
    pub(super) fn sent(&mut self, command: &str) {
        let Ok(Sent { id, cmd, params: Some(params) }) = serde_json::from_str(command) else {
            return;
        };
        let book = params.channels.iter().any(|channel| channel == "orderbook_delta");
        if cmd.as_deref() == Some("subscribe") && book {
            self.yes_price = params.use_yes_price.unwrap_or(false);
            if let Some(id) = id {
                self.asked.insert(id, self.yes_price);
            }
        }
    }

    /// Takes note of what a subscription stands for.
    pub(super) fn subscribed(&mut self, sid: u64, channel: &str, id: Option<u64>, ids: &mut Ids) {
        let asked = id.and_then(|id| self.asked.get(&id).copied());
        if let Some(stream) = self.stream(Some(sid), ids) {
            stream.channel = Some(channel.to_owned());
            if let Some(yes_price) = asked {
                stream.yes_price = yes_price;
            }
        }
    }

    /// The time of a record: the first of receive and event time that there is, never falling.
    pub(super) fn advance(&mut self, recv: Option<i64>, event: Option<i64>) -> i64 {
        let at = match (self.at, recv.or(event).map(known)) {
            (Some(at), Some(time)) => at.max(time),
            (Some(at), None) => at,
            (None, Some(time)) => time,
            (None, None) => return UNSET,
        };
        self.at = Some(at);
        at
    }

    /// Gives the first known time to what happened before it.
    pub(super) fn settle(&mut self, time: i64) {
        self.at.get_or_insert(time);
        if self.first_ns == UNSET {
            self.first_ns = time;
        }
        for stream in &mut self.streams {
            stream.settle(time);
        }
    }
}
