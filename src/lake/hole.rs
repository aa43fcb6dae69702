//! The holes of a session: what is known to be missing, who said so, and when it was mended.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    ids::{Ids, Number},
    quote::UNSET,
    table::Rows,
};

/// What made a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Numbers of a subscription are missing.
    Sequence,
    /// A level would have gone negative: something was missed before.
    Negative,
    /// A book message that could not be read.
    Unreadable,
    /// Numbers came again with other content: they count something else now.
    Repeat,
    /// The exchange ended the subscription.
    Ended,
    /// The connection ended.
    Disconnected,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Sequence => "sequence",
            Self::Negative => "negative",
            Self::Unreadable => "unreadable",
            Self::Repeat => "repeat",
            Self::Ended => "ended",
            Self::Disconnected => "disconnected",
        }
    }
}

/// One hole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hole {
    pub(super) kind: Kind,
    pub(super) conn: u32,
    pub(super) sid: Option<u64>,
    pub(super) channel: Option<String>,
    pub(super) expected: Option<u64>,
    pub(super) got: Option<u64>,
    /// The last moment at which all was well.
    pub(super) from_ns: i64,
    /// When it was noticed.
    pub(super) found_ns: i64,
    /// The recorder wrote it down.
    pub(super) declared: bool,
    /// The frames themselves show it.
    pub(super) found: bool,
    pub(super) cause: Option<String>,
    /// Markets whose book it made unsure.
    pub(super) markets: Vec<Number>,
    /// When what it tells of, which is no book, was subscribed to again.
    pub(super) resubscribed_ns: Option<i64>,
}

impl Hole {
    /// A hole of which the rest is to be filled in.
    pub(super) const fn new(kind: Kind, conn: u32, from_ns: i64, found_ns: i64) -> Self {
        Self {
            kind,
            conn,
            sid: None,
            channel: None,
            expected: None,
            got: None,
            from_ns,
            found_ns,
            declared: false,
            found: false,
            cause: None,
            markets: Vec::new(),
            resubscribed_ns: None,
        }
    }
}

/// The holes of one session, and the snapshots that can mend them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Holes {
    holes: Vec<Hole>,
    snapshots: HashMap<Number, Vec<i64>>,
}

impl Holes {
    /// A snapshot of a market: its book is right again from here.
    pub(super) fn snapshot(&mut self, market: Number, at_ns: i64) {
        self.snapshots.entry(market).or_default().push(at_ns);
    }

    /// Finds the hole of the same missing numbers, as the frames and the recorder both tell it.
    pub(super) fn find(
        &mut self,
        conn: u32,
        sid: u64,
        expected: u64,
        got: u64,
    ) -> Option<&mut Hole> {
        self.holes.iter_mut().rev().find(|hole| {
            hole.conn == conn
                && hole.sid == Some(sid)
                && hole.expected == Some(expected)
                && hole.got == Some(got)
        })
    }

    /// A channel of a connection is subscribed to: what had ended of it goes on.
    pub(super) fn resubscribed(&mut self, conn: u32, channel: &str, at_ns: i64) {
        let ended = |hole: &&mut Hole| {
            hole.conn == conn && hole.channel.as_deref() == Some(channel) && hole.markets.is_empty()
        };
        for hole in self.holes.iter_mut().filter(ended) {
            hole.resubscribed_ns.get_or_insert(at_ns);
        }
    }

    pub(super) fn add(&mut self, hole: Hole) {
        self.holes.push(hole);
    }

    /// Gives the first known time to what happened before it.
    pub(super) fn settle(&mut self, conn: u32, time: i64) {
        for hole in self.holes.iter_mut().filter(|hole| hole.conn == conn) {
            for at in [&mut hole.from_ns, &mut hole.found_ns] {
                if *at == UNSET {
                    *at = time;
                }
            }
        }
        for at in self.snapshots.values_mut().flatten().filter(|at| **at == UNSET) {
            *at = time;
        }
    }

    /// When every market of a hole had a snapshot again, if ever.
    fn repaired(&self, hole: &Hole) -> Option<i64> {
        if hole.markets.is_empty() {
            return hole.resubscribed_ns;
        }
        let mended = hole.markets.iter().map(|market| {
            let snapshots = self.snapshots.get(market)?;
            snapshots.iter().copied().filter(|at| *at >= hole.found_ns).min()
        });
        mended.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    pub(super) fn write(&self, session: &str, ids: Ids, rows: &mut Rows) {
        for (place, hole) in self.holes.iter().enumerate() {
            let number = ids.hole(place);
            let table = &mut rows.Holes;
            let whole = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
            table.hole.push(number);
            table.kind.push(Some(hole.kind.as_str()));
            table.session.push(Some(session));
            table.conn.push(Some(i64::from(hole.conn)));
            table.sid.push(whole(hole.sid));
            table.channel.push(hole.channel.as_deref());
            table.expected.push(whole(hole.expected));
            table.got.push(whole(hole.got));
            table.from_ns.push(hole.from_ns);
            table.found_ns.push(hole.found_ns);
            table.repaired_ns.push(self.repaired(hole));
            table.declared.push(Some(hole.declared));
            table.found.push(Some(hole.found));
            table.cause.push(hole.cause.as_deref());
            table.end_row();
            for market in &hole.markets {
                rows.HoleMarkets.hole.push(number);
                rows.HoleMarkets.ticker.push(*market);
                rows.HoleMarkets.end_row();
            }
        }
    }
}
