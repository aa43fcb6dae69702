//! What can be made to go wrong, by script.

use super::session::Frame;

/// One thing that goes wrong. Connections, frames and sids are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A numbered frame is never sent; its number is used up.
    Drop {
        /// The connection.
        connection: u32,
        /// The subscription.
        sid: u64,
        /// Which frame: the n-th of the subscription has `seq` n.
        seq: u64,
    },
    /// A numbered frame is sent twice.
    Repeat {
        /// The connection.
        connection: u32,
        /// The subscription.
        sid: u64,
        /// Which frame: the n-th of the subscription has `seq` n.
        seq: u64,
    },
    /// The connection is cut, without a close frame, after so many text frames.
    Cut {
        /// The connection.
        connection: u32,
        /// How many frames go out before.
        after: u64,
    },
    /// The first upgrades are refused.
    Refuse {
        /// How many.
        first: u32,
        /// The HTTP status, such as 429 or 502.
        status: u16,
    },
}

/// What is to be sent in place of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outgoing {
    Text(String),
    Cut,
}

/// One connection's share of the script. Every frame passes through it.
#[derive(Debug, Default)]
pub(super) struct Gate {
    faults: Vec<Fault>,
    passed: u64,
}

impl Gate {
    pub(super) fn new(script: &[Fault], connection: u32) -> Self {
        let mine = |fault: &&Fault| match fault {
            Fault::Drop { connection: k, .. }
            | Fault::Repeat { connection: k, .. }
            | Fault::Cut { connection: k, .. } => *k == connection,
            Fault::Refuse { .. } => false,
        };
        Self { faults: script.iter().filter(mine).cloned().collect(), passed: 0 }
    }

    /// Turns a frame into what goes out.
    pub(super) fn pass(&mut self, frame: Frame, mut send: impl FnMut(Outgoing)) {
        let mut copies = 1;
        for fault in &self.faults {
            let at = |sid: &u64, seq: &u64| frame.sid == Some(*sid) && frame.seq == Some(*seq);
            match fault {
                Fault::Drop { sid, seq, .. } if at(sid, seq) => copies = 0,
                Fault::Repeat { sid, seq, .. } if at(sid, seq) => copies = 2,
                Fault::Drop { .. } | Fault::Repeat { .. } => {}
                Fault::Cut { .. } | Fault::Refuse { .. } => {}
            }
        }
        if copies == 2 {
            self.count(frame.text.clone(), &mut send);
        }
        if copies > 0 {
            self.count(frame.text, &mut send);
        }
    }

    /// How many frames of a recording go out before the connection is cut.
    pub(super) fn cut_after(&self) -> Option<u64> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::Cut { after, .. } => Some(*after),
            Fault::Drop { .. } | Fault::Repeat { .. } | Fault::Refuse { .. } => None,
        })
    }

    fn count(&mut self, text: String, send: &mut impl FnMut(Outgoing)) {
        self.passed += 1;
        send(Outgoing::Text(text));
        if self.cut_after() == Some(self.passed) {
            send(Outgoing::Cut);
        }
    }
}

/// The status to refuse an upgrade with, given how many have been refused before.
pub(super) fn refusal(script: &[Fault], refused: u32) -> Option<u16> {
    script.iter().find_map(|fault| match fault {
        Fault::Refuse { first, status } => (refused < *first).then_some(*status),
        Fault::Drop { .. } | Fault::Repeat { .. } | Fault::Cut { .. } => None,
    })
}
