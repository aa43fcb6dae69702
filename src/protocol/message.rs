//! What the exchange says, in types.
//!
//! One message can carry the same number in up to three encodings; they describe one fact and the
//! finest is taken: `*_fp` and `*_dollars` texts before integer contracts and cents.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ErrorCode, FixedError, Header, Ladder, NotJson, Price, Side, Size,
    ladder::{self, Levels, Number},
    quick,
};

type Str<'a> = Cow<'a, str>;

/// A message of the exchange.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// A whole book, which replaces what was known of it.
    Snapshot(Snapshot<'a>),
    /// A change of one level.
    Delta(Delta<'a>),
    /// A market's summary.
    Ticker(Ticker<'a>),
    /// A public trade.
    Trade(Trade<'a>),
    /// A step in a market's life.
    MarketLifecycle(MarketLifecycle<'a>),
    /// An event was made.
    EventLifecycle(EventLifecycle<'a>),
    /// The reply to a subscription: what the sid stands for.
    Subscribed(SubscriptionReply<'a>),
    /// A command was refused, or a subscription died.
    Error(ExchangeError<'a>),
    /// Any other type, known (`ok`, `unsubscribed`, private channels) or not.
    Other,
}

/// Why the message of a known type could not be read. The frame itself is kept as it came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A key is missing or has another type.
    #[error("the message of a `{kind}` frame has an unexpected shape")]
    Shape {
        /// The frame's type.
        kind: &'static str,
        /// What serde found.
        #[source]
        source: serde_json::Error,
    },
    /// The frame has no message.
    #[error("a `{0}` frame has no message")]
    NoMessage(&'static str),
    /// A key that the message cannot do without is absent.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A number is malformed, too fine, or out of range.
    #[error("bad `{field}`")]
    Number {
        /// The key.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: FixedError,
    },
    /// The side is neither `yes` nor `no`.
    #[error("unknown side `{0}`")]
    Side(String),
    /// The frame speaks another protocol under the same type names (the margin exchange does).
    #[error("a `{0}` frame of another protocol, with `bid` and `ask`")]
    Foreign(&'static str),
}

/// A whole book of one market.
#[derive(Debug, Clone)]
pub struct Snapshot<'a> {
    /// The market.
    pub ticker: Str<'a>,
    /// The market's UUID; the exchange sends an empty one for a market it does not know.
    pub market_id: Option<Str<'a>>,
    /// Bids for YES.
    pub yes: Ladder,
    /// Bids for NO, in the price terms the subscription asked for.
    pub no: Ladder,
}

/// A change of the resting size at one level.
#[derive(Debug, Clone)]
pub struct Delta<'a> {
    /// The market.
    pub ticker: Str<'a>,
    /// The ladder.
    pub side: Side,
    /// The level, in the price terms the subscription asked for.
    pub price: Price,
    /// What is added (or, negative, taken away).
    pub change: Size,
    /// When the exchange recorded the change, ns since the epoch.
    pub event_ns: Option<i64>,
}

/// A market's summary. An absent side of the book is a bid of 0 or an ask of 1 with size 0.
#[derive(Debug, Clone)]
pub struct Ticker<'a> {
    /// The market.
    pub ticker: Str<'a>,
    /// The last trade, YES dollars; `None` for a market that never traded in some generations.
    pub price: Option<Price>,
    /// The best bid for YES.
    pub yes_bid: Option<Price>,
    /// The best offer of YES.
    pub yes_ask: Option<Price>,
    /// Contracts at the best bid.
    pub yes_bid_size: Option<Size>,
    /// Contracts at the best ask.
    pub yes_ask_size: Option<Size>,
    /// Contracts of the last trade.
    pub last_trade_size: Option<Size>,
    /// Contracts traded so far.
    pub volume: Option<Size>,
    /// Contracts outstanding.
    pub open_interest: Option<Size>,
    /// Dollars traded so far.
    pub dollar_volume: Option<i64>,
    /// Dollars outstanding.
    pub dollar_open_interest: Option<i64>,
    /// When the exchange made the summary, ns since the epoch.
    pub event_ns: Option<i64>,
}

/// A public trade.
#[derive(Debug, Clone)]
pub struct Trade<'a> {
    /// The market.
    pub ticker: Str<'a>,
    /// The exchange's name for the trade.
    pub trade_id: Option<Str<'a>>,
    /// YES dollars.
    pub price: Price,
    /// NO dollars: the complement.
    pub no_price: Price,
    /// Contracts.
    pub size: Size,
    /// The outcome that the taker bought.
    pub taker_side: Option<Side>,
    /// Matched off the book; known since August 2026.
    pub is_block: Option<bool>,
    /// When it happened, ns since the epoch.
    pub event_ns: Option<i64>,
}

/// A step in a market's life. Which of the fields are there depends on `event_type`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the exchange's own names")]
pub struct MarketLifecycle<'a> {
    #[serde(borrow)]
    pub event_type: Str<'a>,
    #[serde(borrow)]
    pub market_ticker: Str<'a>,
    pub open_ts: Option<i64>,
    pub close_ts: Option<i64>,
    pub determination_ts: Option<i64>,
    pub settled_ts: Option<i64>,
    pub is_deactivated: Option<bool>,
    #[serde(borrow)]
    pub result: Option<Str<'a>>,
    #[serde(borrow)]
    pub settlement_value: Option<Str<'a>>,
    #[serde(borrow)]
    pub price_level_structure: Option<Str<'a>>,
    /// Titles, rules and strikes, as sent.
    #[serde(borrow)]
    pub additional_metadata: Option<&'a RawValue>,
}

/// An event was made.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the exchange's own names")]
pub struct EventLifecycle<'a> {
    #[serde(borrow)]
    pub event_ticker: Str<'a>,
    #[serde(borrow)]
    pub title: Option<Str<'a>>,
    #[serde(borrow)]
    pub subtitle: Option<Str<'a>>,
    #[serde(borrow)]
    pub series_ticker: Option<Str<'a>>,
    #[serde(borrow)]
    pub collateral_return_type: Option<Str<'a>>,
}

/// The reply to a subscription.
#[derive(Debug, Clone, Deserialize)]
pub struct SubscriptionReply<'a> {
    /// The channel subscribed to.
    #[serde(borrow)]
    pub channel: Str<'a>,
    /// The id under which its frames come.
    pub sid: u64,
}

/// A refusal.
#[derive(Debug, Clone)]
pub struct ExchangeError<'a> {
    /// The exchange's code.
    pub code: ErrorCode,
    /// The exchange's text.
    pub text: Str<'a>,
}

/// A frame's envelope and its message, where that can be read.
pub type Parsed<'a> = (Header<'a>, Result<Message<'a>, ParseError>);

impl<'a> Message<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// [`NotJson`] where the text is not one JSON value.
    pub fn read(frame: &'a str) -> Result<Parsed<'a>, NotJson> {
        if let Some((header, message)) = quick::delta(frame) {
            return Ok((header, Ok(message)));
        }
        let header = Header::parse(frame)?;
        let message = Self::parse(&header);
        Ok((header, message))
    }

    /// Reads the message under a header.
    ///
    /// # Errors
    /// [`ParseError`] where the type is known and the message does not fit it.
    pub fn parse(header: &Header<'a>) -> Result<Self, ParseError> {
        match header.kind() {
            "orderbook_delta" => read(header, "orderbook_delta").and_then(RawDelta::check),
            "orderbook_snapshot" => read(header, "orderbook_snapshot").and_then(RawSnapshot::check),
            "ticker" => read(header, "ticker").and_then(RawTicker::check),
            "trade" => read(header, "trade").and_then(RawTrade::check),
            "market_lifecycle_v2" | "multivariate_market_lifecycle" => {
                read(header, "market_lifecycle_v2").map(Self::MarketLifecycle)
            }
            "event_lifecycle" => read(header, "event_lifecycle").map(Self::EventLifecycle),
            // The oldest servers acknowledged without a message.
            "subscribed" if header.msg.is_some() => {
                read(header, "subscribed").map(Self::Subscribed)
            }
            "error" => read(header, "error").map(|error: RawError<'a>| {
                Self::Error(ExchangeError {
                    code: ErrorCode(error.code.unwrap_or_default()),
                    text: error.msg.unwrap_or_default(),
                })
            }),
            _ => Ok(Self::Other),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(header: &Header<'a>, kind: &'static str) -> Result<T, ParseError> {
    let msg = header.msg.ok_or(ParseError::NoMessage(kind))?;
    serde_json::from_str(msg).map_err(|source| ParseError::Shape { kind, source })
}

fn number<T>(field: &'static str, result: Result<T, FixedError>) -> Result<T, ParseError> {
    result.map_err(|source| ParseError::Number { field, source })
}

/// The first encoding that is there; an empty text counts as absent.
fn first<'n, 'a, const N: usize>(encodings: [&'n Option<Number<'a>>; N]) -> Option<&'n Number<'a>> {
    encodings
        .into_iter()
        .flatten()
        .find(|number| !matches!(number, Number::Text(text) if text.is_empty()))
}

fn price<'a, const N: usize>(
    field: &'static str,
    encodings: [&Option<Number<'a>>; N],
) -> Result<Option<Price>, ParseError> {
    first(encodings).map(|found| number(field, found.price())).transpose()
}

fn size<'a, const N: usize>(
    field: &'static str,
    encodings: [&Option<Number<'a>>; N],
) -> Result<Option<Size>, ParseError> {
    first(encodings).map(|found| number(field, found.size())).transpose()
}

/// The finest time there is: an RFC 3339 text has micro- or nanoseconds, `ts_ms` milliseconds and
/// an integer `ts` seconds.
fn event_ns(texts: [Option<&Number<'_>>; 2], ts_ms: Option<i64>) -> Option<i64> {
    let mut seconds = None;
    for time in texts.into_iter().flatten() {
        match time {
            Number::Text(text) => {
                if let Ok(time) = text.parse::<Timestamp>() {
                    return i64::try_from(time.as_nanosecond()).ok();
                }
            }
            Number::Integer(value) => seconds = value.checked_mul(1_000_000_000),
        }
    }
    ts_ms.and_then(|ms| ms.checked_mul(1_000_000)).or(seconds)
}

#[derive(Deserialize)]
struct RawDelta<'a> {
    #[serde(borrow)]
    market_ticker: Str<'a>,
    #[serde(borrow)]
    side: Str<'a>,
    #[serde(borrow)]
    price: Option<Number<'a>>,
    #[serde(borrow)]
    price_dollars: Option<Number<'a>>,
    #[serde(borrow)]
    delta: Option<Number<'a>>,
    #[serde(borrow)]
    delta_fp: Option<Number<'a>>,
    #[serde(borrow)]
    ts: Option<Number<'a>>,
    ts_ms: Option<i64>,
}

impl<'a> RawDelta<'a> {
    fn check(self) -> Result<Message<'a>, ParseError> {
        let side = match Side::parse(&self.side) {
            Some(side) => side,
            None if matches!(&*self.side, "bid" | "ask") => {
                return Err(ParseError::Foreign("orderbook_delta"));
            }
            None => return Err(ParseError::Side(self.side.into_owned())),
        };
        Ok(Message::Delta(Delta {
            side,
            price: price("price", [&self.price_dollars, &self.price])?
                .ok_or(ParseError::Missing("price"))?,
            change: size("delta", [&self.delta_fp, &self.delta])?
                .ok_or(ParseError::Missing("delta"))?,
            event_ns: event_ns([self.ts.as_ref(), None], self.ts_ms),
            ticker: self.market_ticker,
        }))
    }
}

#[derive(Deserialize)]
struct RawSnapshot<'a> {
    #[serde(borrow)]
    market_ticker: Str<'a>,
    #[serde(borrow)]
    market_id: Option<Str<'a>>,
    #[serde(borrow)]
    yes: Option<Levels<'a>>,
    #[serde(borrow)]
    no: Option<Levels<'a>>,
    #[serde(borrow)]
    yes_dollars: Option<Levels<'a>>,
    #[serde(borrow)]
    no_dollars: Option<Levels<'a>>,
    #[serde(borrow)]
    yes_dollars_fp: Option<Levels<'a>>,
    #[serde(borrow)]
    no_dollars_fp: Option<Levels<'a>>,
    #[serde(borrow)]
    bid: Option<&'a RawValue>,
    #[serde(borrow)]
    ask: Option<&'a RawValue>,
}

impl<'a> RawSnapshot<'a> {
    fn check(self) -> Result<Message<'a>, ParseError> {
        if self.bid.is_some() || self.ask.is_some() {
            return Err(ParseError::Foreign("orderbook_snapshot"));
        }
        Ok(Message::Snapshot(Snapshot {
            ticker: self.market_ticker,
            market_id: self.market_id,
            yes: number("yes", ladder::first([self.yes_dollars_fp, self.yes_dollars, self.yes]))?,
            no: number("no", ladder::first([self.no_dollars_fp, self.no_dollars, self.no]))?,
        }))
    }
}

#[derive(Deserialize)]
struct RawTicker<'a> {
    #[serde(borrow)]
    market_ticker: Str<'a>,
    #[serde(borrow)]
    price: Option<Number<'a>>,
    #[serde(borrow)]
    price_dollars: Option<Number<'a>>,
    #[serde(borrow)]
    yes_bid: Option<Number<'a>>,
    #[serde(borrow)]
    yes_bid_dollars: Option<Number<'a>>,
    #[serde(borrow)]
    yes_ask: Option<Number<'a>>,
    #[serde(borrow)]
    yes_ask_dollars: Option<Number<'a>>,
    #[serde(borrow)]
    yes_bid_size_fp: Option<Number<'a>>,
    #[serde(borrow)]
    yes_ask_size_fp: Option<Number<'a>>,
    #[serde(borrow)]
    last_trade_size_fp: Option<Number<'a>>,
    #[serde(borrow)]
    volume: Option<Number<'a>>,
    #[serde(borrow)]
    volume_fp: Option<Number<'a>>,
    #[serde(borrow)]
    open_interest: Option<Number<'a>>,
    #[serde(borrow)]
    open_interest_fp: Option<Number<'a>>,
    dollar_volume: Option<i64>,
    dollar_open_interest: Option<i64>,
    #[serde(borrow)]
    ts: Option<Number<'a>>,
    #[serde(borrow)]
    time: Option<Number<'a>>,
    ts_ms: Option<i64>,
}

impl<'a> RawTicker<'a> {
    fn check(self) -> Result<Message<'a>, ParseError> {
        Ok(Message::Ticker(Ticker {
            price: price("price", [&self.price_dollars, &self.price])?,
            yes_bid: price("yes_bid", [&self.yes_bid_dollars, &self.yes_bid])?,
            yes_ask: price("yes_ask", [&self.yes_ask_dollars, &self.yes_ask])?,
            yes_bid_size: size("yes_bid_size_fp", [&self.yes_bid_size_fp])?,
            yes_ask_size: size("yes_ask_size_fp", [&self.yes_ask_size_fp])?,
            last_trade_size: size("last_trade_size_fp", [&self.last_trade_size_fp])?,
            volume: size("volume", [&self.volume_fp, &self.volume])?,
            open_interest: size("open_interest", [&self.open_interest_fp, &self.open_interest])?,
            dollar_volume: self.dollar_volume,
            dollar_open_interest: self.dollar_open_interest,
            event_ns: event_ns([self.time.as_ref(), self.ts.as_ref()], self.ts_ms),
            ticker: self.market_ticker,
        }))
    }
}

#[derive(Deserialize)]
struct RawTrade<'a> {
    #[serde(borrow)]
    market_ticker: Str<'a>,
    #[serde(borrow)]
    trade_id: Option<Str<'a>>,
    #[serde(borrow)]
    yes_price: Option<Number<'a>>,
    #[serde(borrow)]
    yes_price_dollars: Option<Number<'a>>,
    #[serde(borrow)]
    no_price: Option<Number<'a>>,
    #[serde(borrow)]
    no_price_dollars: Option<Number<'a>>,
    #[serde(borrow)]
    count: Option<Number<'a>>,
    #[serde(borrow)]
    count_fp: Option<Number<'a>>,
    #[serde(borrow)]
    taker_side: Option<Str<'a>>,
    #[serde(borrow)]
    taker_outcome_side: Option<Str<'a>>,
    is_block_trade: Option<bool>,
    #[serde(borrow)]
    ts: Option<Number<'a>>,
    ts_ms: Option<i64>,
}

impl<'a> RawTrade<'a> {
    fn check(self) -> Result<Message<'a>, ParseError> {
        let yes = price("yes_price", [&self.yes_price_dollars, &self.yes_price])?;
        let no = price("no_price", [&self.no_price_dollars, &self.no_price])?;
        let taker = self.taker_outcome_side.as_deref().or(self.taker_side.as_deref());
        Ok(Message::Trade(Trade {
            price: yes.or(no.map(Price::complement)).ok_or(ParseError::Missing("yes_price"))?,
            no_price: no.or(yes.map(Price::complement)).ok_or(ParseError::Missing("no_price"))?,
            size: size("count", [&self.count_fp, &self.count])?
                .ok_or(ParseError::Missing("count"))?,
            taker_side: taker.and_then(Side::parse),
            is_block: self.is_block_trade,
            event_ns: event_ns([self.ts.as_ref(), None], self.ts_ms),
            trade_id: self.trade_id,
            ticker: self.market_ticker,
        }))
    }
}

#[derive(Deserialize)]
struct RawError<'a> {
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Str<'a>>,
}
