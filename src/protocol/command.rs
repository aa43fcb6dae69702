//! What a client says to the exchange.

use serde::Serialize;

/// A stream that can be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Snapshots and deltas of order books; markets must be named.
    OrderbookDelta,
    /// Market summaries.
    Ticker,
    /// Public trades.
    Trade,
    /// The life of all markets but combos; takes no markets.
    MarketLifecycle,
    /// Any other channel, by the exchange's name.
    Other(String),
}

impl Channel {
    /// The exchange's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::OrderbookDelta => "orderbook_delta",
            Self::Ticker => "ticker",
            Self::Trade => "trade",
            Self::MarketLifecycle => "market_lifecycle_v2",
            Self::Other(name) => name,
        }
    }

    /// Reads the exchange's name.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "orderbook_delta" => Self::OrderbookDelta,
            "ticker" => Self::Ticker,
            "trade" => Self::Trade,
            "market_lifecycle_v2" => Self::MarketLifecycle,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether a subscription to it names markets.
    #[must_use]
    pub const fn takes_markets(&self) -> bool {
        matches!(self, Self::OrderbookDelta | Self::Ticker | Self::Trade)
    }
}

/// A command of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Opens channels, or adds markets to open ones.
    Subscribe(Subscribe),
    /// Ends subscriptions.
    Unsubscribe {
        /// Their ids.
        sids: Vec<u64>,
    },
    /// Changes one subscription.
    Update {
        /// Its id.
        sid: u64,
        /// The change.
        action: Action,
    },
    /// Asks what is subscribed.
    ListSubscriptions,
}

/// The parameters of `subscribe`; absent ones are not sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Subscribe {
    /// The channels; each gets its own sid and reply.
    pub channels: Vec<String>,
    /// The markets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub market_tickers: Vec<String>,
    /// Whether NO levels are printed in YES dollars. The exchange's default will change, so it is
    /// sent with every order-book subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_yes_price: Option<bool>,
    /// Leaves the list of markets out of the replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_ticker_ack: Option<bool>,
    /// Asks for one ticker message a market at once; ticker channel only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_initial_snapshot: Option<bool>,
    /// Reference indices, for the cfbenchmarks channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub index_ids: Vec<String>,
    /// Underlyings, for the pyth channel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub underlying_tickers: Vec<String>,
}

/// A change of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Adds markets; for order books each is followed by its snapshot.
    AddMarkets(Vec<String>),
    /// Takes markets away.
    DeleteMarkets(Vec<String>),
    /// Asks for snapshots without changing the subscription.
    GetSnapshot(Vec<String>),
    /// Adds reference indices.
    SubscribeIndices(Vec<String>),
    /// Takes reference indices away.
    UnsubscribeIndices(Vec<String>),
    /// Lists reference indices.
    IndexList,
    /// Adds underlyings.
    SubscribeUnderlyings(Vec<String>),
    /// Takes underlyings away.
    UnsubscribeUnderlyings(Vec<String>),
    /// Lists underlyings.
    UnderlyingList,
}

impl Command {
    /// The command as the exchange reads it.
    #[must_use]
    pub fn to_json(&self, id: u64) -> String {
        let (cmd, params) = match self {
            Self::Subscribe(subscribe) => ("subscribe", serde_json::json!(subscribe)),
            Self::Unsubscribe { sids } => ("unsubscribe", serde_json::json!({ "sids": sids })),
            Self::Update { sid, action } => ("update_subscription", action.params(*sid)),
            Self::ListSubscriptions => {
                return serde_json::json!({ "id": id, "cmd": "list_subscriptions" }).to_string();
            }
        };
        serde_json::json!({ "id": id, "cmd": cmd, "params": params }).to_string()
    }
}

impl Action {
    fn params(&self, sid: u64) -> serde_json::Value {
        let (action, list) = match self {
            Self::AddMarkets(markets) => ("add_markets", Some(("market_tickers", markets))),
            Self::DeleteMarkets(markets) => ("delete_markets", Some(("market_tickers", markets))),
            Self::GetSnapshot(markets) => ("get_snapshot", Some(("market_tickers", markets))),
            Self::SubscribeIndices(ids) => ("subscribe_indices", Some(("index_ids", ids))),
            Self::UnsubscribeIndices(ids) => ("unsubscribe_indices", Some(("index_ids", ids))),
            Self::IndexList => ("indexlist", None),
            Self::SubscribeUnderlyings(ids) => {
                ("subscribe_underlyings", Some(("underlying_tickers", ids)))
            }
            Self::UnsubscribeUnderlyings(ids) => {
                ("unsubscribe_underlyings", Some(("underlying_tickers", ids)))
            }
            Self::UnderlyingList => ("underlying_list", None),
        };
        let mut params = serde_json::json!({ "sids": [sid], "action": action });
        if let (Some((key, list)), Some(object)) = (list, params.as_object_mut()) {
            object.insert(key.to_owned(), serde_json::json!(list));
        }
        params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn commands_are_what_the_exchange_documents() {
        let subscribe = Command::Subscribe(Subscribe {
            channels: vec!["orderbook_delta".into()],
            market_tickers: vec!["KXA-1".into(), "KXA-2".into()],
            use_yes_price: Some(false),
            skip_ticker_ack: Some(true),
            ..Subscribe::default()
        });
        let sids = Command::Unsubscribe { sids: vec![1, 2] };
        let update = |action| Command::Update { sid: 1, action };
        for (command, expected) in [
            (
                subscribe,
                r#"{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"],
                "market_tickers":["KXA-1","KXA-2"],"use_yes_price":false,"skip_ticker_ack":true}}"#,
            ),
            (sids, r#"{"id":1,"cmd":"unsubscribe","params":{"sids":[1,2]}}"#),
            (
                update(Action::GetSnapshot(vec!["KXA-1".into()])),
                r#"{"id":1,"cmd":"update_subscription",
                "params":{"sids":[1],"action":"get_snapshot","market_tickers":["KXA-1"]}}"#,
            ),
            (
                update(Action::IndexList),
                r#"{"id":1,"cmd":"update_subscription","params":{"sids":[1],"action":"indexlist"}}"#,
            ),
            (Command::ListSubscriptions, r#"{"id":1,"cmd":"list_subscriptions"}"#),
        ] {
            assert_eq!(json(&command.to_json(1)), json(expected));
        }
    }
}
