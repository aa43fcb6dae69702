//! What the recorder itself says on the tape, so that an archive explains itself.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event of the recorder. Field names are the ones on disk.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// First line of every segment.
    Session(SessionInfo<'a>),
    /// A connection was opened and its handshake accepted.
    Connected {
        /// The address, without credentials.
        url: Cow<'a, str>,
        /// How many markets the connection is for.
        markets: usize,
    },
    /// A command went out.
    Sent {
        /// The command, verbatim.
        command: Cow<'a, RawValue>,
    },
    /// Frames of a subscription are missing: `expected` up to `got - 1`.
    Gap {
        /// The subscription.
        sid: u64,
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// A number came a second time or out of order. The frame is kept.
    Repeat {
        /// The subscription.
        sid: u64,
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// Every market of the subscription has a snapshot from after the gap.
    Repaired {
        /// The subscription.
        sid: u64,
        /// How many markets were asked for again.
        markets: usize,
    },
    /// The exchange does not know a market (it answers with an empty `market_id`).
    UnknownMarket {
        /// The market.
        ticker: Cow<'a, str>,
    },
    /// The exchange refused to subscribe to a market.
    RefusedMarket {
        /// The market.
        ticker: Cow<'a, str>,
        /// The channel that it was refused for.
        channel: Cow<'a, str>,
        /// The exchange's reason.
        reason: Cow<'a, str>,
    },
    /// The exchange no longer lists a subscription that it had not said to be ended.
    Ended {
        /// The subscription.
        sid: u64,
    },
    /// What one of the recorder's connections is for; from before the first of them is made.
    Plan {
        /// The markets.
        tickers: Cow<'a, [String]>,
    },
    /// No connection could be made; another attempt follows.
    NotConnected {
        /// Why.
        cause: Cow<'a, str>,
    },
    /// Markets are subscribed, but their snapshots do not come; they were asked for again.
    Dark {
        /// How many.
        markets: usize,
        /// The first of them.
        first: Cow<'a, str>,
    },
    /// A connection ended; what came after it is another `conn`.
    Disconnected {
        /// Why.
        cause: Cow<'a, str>,
    },
    /// The queue was full and the socket was not read for a while.
    Stalled {
        /// For how long.
        for_ns: i64,
    },
    /// Frames come later than they did: from here on, what the tape holds of a moment may have
    /// reached it only later.
    Lagging {
        /// By how many ms the next frame is late, compared with the quickest of late.
        behind_ms: i64,
    },
    /// Frames come in time again.
    CaughtUp {
        /// The most that one was late.
        behind_ms: i64,
    },
    /// Metadata of a market, as the REST interface gave it.
    Market {
        /// The market object, verbatim.
        market: Cow<'a, RawValue>,
    },
    /// A frame that is not JSON, or not UTF-8.
    BadFrame {
        /// The text, where it is UTF-8.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Cow<'a, str>>,
        /// The bytes in base64, where it is not.
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<Cow<'a, str>>,
        /// Why it is not a frame.
        reason: Cow<'a, str>,
    },
    /// The wall clock was set: `recv_ns` goes on as before, and is off by `step_ns` from here.
    Clock {
        /// New minus expected wall time.
        step_ns: i64,
    },
    /// Last line of a whole segment.
    Closed(super::Seal),
    /// An event of a later version, or a damaged one.
    Unknown,
}

/// Every key that an event may have. One flat struct, because JSON can be kept verbatim
/// ([`RawValue`]) only where serde reads it straight from the text.
#[derive(Deserialize)]
struct AnyEvent<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    sid: Option<u64>,
    expected: Option<u64>,
    got: Option<u64>,
    markets: Option<usize>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    command: Option<&'a RawValue>,
    #[serde(borrow)]
    ticker: Option<Cow<'a, str>>,
    #[serde(borrow)]
    first: Option<Cow<'a, str>>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    tickers: Option<Vec<String>>,
    #[serde(borrow)]
    cause: Option<Cow<'a, str>>,
    for_ns: Option<i64>,
    behind_ms: Option<i64>,
    #[serde(borrow)]
    market: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    step_ns: Option<i64>,
}

impl<'a> Event<'a> {
    /// Reads the event of a line.
    pub(super) fn parse(line: &'a str) -> Result<Self, serde_json::Error> {
        let any: AnyEvent<'a> = serde_json::from_str(line)?;
        let event = match &*any.event {
            "session" => serde_json::from_str(line).map(Self::Session).ok(),
            "closed" => serde_json::from_str(line).map(Self::Closed).ok(),
            _ => any.into_event(),
        };
        Ok(event.unwrap_or(Self::Unknown))
    }
}

impl<'a> AnyEvent<'a> {
    fn into_event(self) -> Option<Event<'a>> {
        Some(match &*self.event {
            "connected" => Event::Connected { url: self.url?, markets: self.markets? },
            "sent" => Event::Sent { command: Cow::Borrowed(self.command?) },
            "gap" => Event::Gap { sid: self.sid?, expected: self.expected?, got: self.got? },
            "repeat" => Event::Repeat { sid: self.sid?, expected: self.expected?, got: self.got? },
            "repaired" => Event::Repaired { sid: self.sid?, markets: self.markets? },
            "unknown_market" => Event::UnknownMarket { ticker: self.ticker? },
            "refused_market" => Event::RefusedMarket {
                ticker: self.ticker?,
                channel: self.channel?,
                reason: self.reason?,
            },
            "ended" => Event::Ended { sid: self.sid? },
            "plan" => Event::Plan { tickers: Cow::Owned(self.tickers?) },
            "not_connected" => Event::NotConnected { cause: self.cause? },
            "dark" => Event::Dark { markets: self.markets?, first: self.first? },
            "disconnected" => Event::Disconnected { cause: self.cause? },
            "stalled" => Event::Stalled { for_ns: self.for_ns? },
            "lagging" => Event::Lagging { behind_ms: self.behind_ms? },
            "caught_up" => Event::CaughtUp { behind_ms: self.behind_ms? },
            "market" => Event::Market { market: Cow::Borrowed(self.market?) },
            "bad_frame" => {
                Event::BadFrame { text: self.text, base64: self.base64, reason: self.reason? }
            }
            "clock" => Event::Clock { step_ns: self.step_ns? },
            _ => return None,
        })
    }
}

/// Who recorded, with what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionInfo<'a> {
    /// Tape format.
    pub format: u32,
    /// The session's id, unique for ever.
    #[serde(borrow)]
    pub session: Cow<'a, str>,
    /// The segment's number within the session, from 0.
    pub segment: u32,
    /// The recorder's version.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// `prod`, `demo` or `sandbox`.
    #[serde(borrow)]
    pub env: Cow<'a, str>,
    /// The recorder's machine.
    #[serde(borrow)]
    pub host: Cow<'a, str>,
    /// The configuration without secrets.
    #[serde(borrow)]
    pub config: Cow<'a, RawValue>,
}
