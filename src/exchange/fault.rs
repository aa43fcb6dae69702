//! What can be made to go wrong: a list of these is a script.

use std::{ops::RangeInclusive, time::Duration};

/// Some of what is counted from 1: connections, attempts, commands.
pub type Which = RangeInclusive<u32>;

/// One thing that goes wrong, once. As text: see [`Fault::from_str`](std::str::FromStr).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// To clients that want to connect.
    Door {
        /// The upgrade requests of all clients, counted from 1.
        attempts: Which,
        /// What they meet with.
        what: Reception,
    },
    /// To what a connection is sent. Of a recording that is served, only [`Damage::Cut`] after a
    /// number of frames.
    Stream {
        /// The connections, in the order let in. It happens once on each.
        connections: Which,
        /// When.
        at: Moment,
        /// What happens.
        what: Damage,
    },
    /// To what a client asks.
    Command {
        /// The connections, in the order let in.
        connections: Which,
        /// The commands of each, counted from 1.
        commands: Which,
        /// What comes of them.
        what: Reply,
    },
    /// To the exchange as a whole.
    Whole {
        /// How long after its start.
        after: Duration,
        /// What happens.
        what: Upset,
    },
}

/// What meets a client that wants to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// An HTTP status, such as 429 or 502.
    Refuse(u16),
    /// The end of the connection without a word.
    HangUp,
    /// No answer at all.
    Silence,
}

/// A moment in the life of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The n-th text frame that goes out, or the next one that can.
    Frame(u64),
    /// The frame of this number: the n-th of the subscription has `seq` n.
    Number {
        /// The subscription.
        sid: u64,
        /// The number.
        seq: u64,
    },
    /// So long after it was let in; what concerns a frame then concerns the next one.
    After(Duration),
}

/// What happens to a frame, or to the connection after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The frame is never sent; its number is used up.
    Drop,
    /// The frame is sent twice.
    Repeat,
    /// The frame is sent after the next one of its subscription.
    Swap,
    /// The frame goes out in two writes to the socket with this pause between.
    Split(Duration),
    /// The frame goes out as two fragments of a message.
    Fragment,
    /// The frame has fields that nobody has heard of.
    Decorate,
    /// In the frame's place its subscription ends with this error.
    End(u16),
    /// After it, this is said.
    Say(Payload),
    /// After it, nothing is sent for so long, and then everything.
    Pause(Duration),
    /// After it, the connection ends without a close frame.
    Cut,
    /// After it, the connection is closed with this code.
    Close(u16),
    /// After it, nothing more is sent, not even a pong; what comes in is read.
    Mute,
    /// After it, nothing more is sent or read, while the connection stays open.
    Deafen,
}

/// A message that no client expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Text that is no JSON.
    Garbage,
    /// A text message that is not UTF-8.
    NotUtf8,
    /// A binary message that is not UTF-8.
    Binary,
    /// JSON of a type that nobody has heard of.
    Unknown,
    /// JSON of so many bytes.
    Long(usize),
}

/// What comes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Nothing at all.
    Ignore,
    /// An error of this code; the command is not obeyed.
    Error {
        /// The code.
        code: u16,
        /// With the subscription's sid and next number in place of the command's id, where the
        /// command concerns a subscription that is open.
        scoped: bool,
    },
    /// It is obeyed, but snapshots come so much later.
    Late(Duration),
}

/// What happens to the exchange as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upset {
    /// Its clock is off by so many milliseconds from here on.
    Clock(i64),
    /// About so many events come at once.
    Burst(u32),
}
