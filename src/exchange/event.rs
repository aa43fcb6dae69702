//! What happens on the simulated exchange.

use crate::protocol::{Price, Side, Size};

/// One thing that happened to one market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The market's position in the exchange's list.
    pub(super) market: usize,
    /// When it happened, µs since the epoch.
    pub(super) ts_us: i64,
    /// What happened.
    pub(super) kind: Kind,
}

/// The kinds of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// The resting size at a price changed.
    Change {
        /// The ladder.
        side: Side,
        /// The price in the side's own dollars.
        price: Price,
        /// The signed change.
        size: Size,
    },
    /// The exchange sends the whole book unasked, as it does after a market's close.
    Resent,
    /// A taker met a maker.
    Trade(Fill),
    /// The market's summary changed.
    Quote(Quote),
    /// The market was made.
    Created,
    /// The outcome is known.
    Determined(Side),
    /// The outcome has been paid.
    Settled,
}

/// A trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fill {
    /// A UUID.
    pub(super) trade_id: String,
    /// The maker's price in yes-leg dollars.
    pub(super) yes_price: Price,
    /// The contracts traded.
    pub(super) size: Size,
    /// The outcome the taker bought.
    pub(super) taker: Side,
}

/// What a ticker message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quote {
    /// The best YES bid.
    pub(super) yes_bid: Option<Price>,
    /// The size at the best YES bid.
    pub(super) yes_bid_size: Size,
    /// The best YES offer, which is a NO bid.
    pub(super) yes_ask: Option<Price>,
    /// The size at the best YES offer.
    pub(super) yes_ask_size: Size,
    /// The last trade in yes-leg dollars.
    pub(super) last_trade: Option<(Price, Size)>,
    /// Contracts traded since the market was made.
    pub(super) volume: Size,
    /// Contracts held.
    pub(super) open_interest: Size,
}
