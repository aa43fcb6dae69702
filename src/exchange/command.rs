//! What a client asks for, checked as the exchange checks it.

use serde_json::{Map, Value};

/// A channel a client can subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// Books: snapshots and deltas.
    Book,
    /// Market summaries.
    Ticker,
    /// Public trades.
    Trade,
    /// The life of all markets.
    Lifecycle,
    /// A channel that exists, on which nothing happens here.
    Silent(&'static str),
}

const SILENT: [&str; 6] = [
    "fill",
    "market_positions",
    "user_orders",
    "order_group_updates",
    "communications",
    "multivariate_market_lifecycle",
];

impl Channel {
    /// The channel's name in commands.
    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Book => "orderbook_delta",
            Self::Ticker => "ticker",
            Self::Trade => "trade",
            Self::Lifecycle => "market_lifecycle_v2",
            Self::Silent(name) => name,
        }
    }

    /// Whether messages of the channel are numbered.
    #[must_use]
    pub(super) fn is_sequenced(self) -> bool {
        match self {
            Self::Book | Self::Trade | Self::Lifecycle => true,
            Self::Ticker => false,
            Self::Silent(name) => !["fill", "market_positions", "user_orders"].contains(&name),
        }
    }

    /// Whether markets can be added to and taken from a subscription.
    #[must_use]
    pub(super) fn takes_markets(self) -> bool {
        match self {
            Self::Book | Self::Ticker | Self::Trade => true,
            Self::Lifecycle => false,
            Self::Silent(name) => name == "fill" || name == "user_orders",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let known = [Self::Book, Self::Ticker, Self::Trade, Self::Lifecycle];
        let silent = SILENT.into_iter().map(Self::Silent);
        known.into_iter().chain(silent).find(|channel| channel.name() == name)
    }
}

/// A well-formed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `subscribe`.
    Subscribe(Subscribe),
    /// `unsubscribe`.
    Unsubscribe(Vec<u64>),
    /// `update_subscription`.
    Update(Update),
    /// `list_subscriptions`.
    List,
}

/// The parameters of `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscribe {
    /// One subscription each.
    pub(super) channels: Vec<Channel>,
    /// The markets; `None` is all of them.
    pub(super) tickers: Option<Vec<String>>,
    /// Whether `ok` leaves out the list of tickers.
    pub(super) skip_ticker_ack: bool,
    /// Whether NO prices are printed in yes-leg dollars.
    pub(super) use_yes_price: bool,
    /// Whether a ticker message comes at once for each market.
    pub(super) send_initial_snapshot: bool,
}

/// The parameters of `update_subscription`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Update {
    /// The subscription.
    pub(super) sid: u64,
    /// The action's name, not yet checked: what is supported depends on the channel.
    pub(super) action: String,
    /// The markets.
    pub(super) tickers: Option<Vec<String>>,
    /// Whether a ticker message comes at once for each market.
    pub(super) send_initial_snapshot: bool,
}

/// A command that was refused before it reached a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The command's id, if it had one.
    pub(super) id: Option<i64>,
    /// The exchange's error code.
    pub(super) code: u16,
}

const NOT_UNDERSTOOD: u16 = 1;
const INVALID: u16 = 11;

/// Reads a command; the id is `None` when absent or 0.
///
/// # Errors
/// [`Refusal`] with the code the exchange documents for the fault.
pub(super) fn parse(text: &str) -> Result<(Option<i64>, Command), Refusal> {
    let refuse = |id, code| Refusal { id, code };
    let Ok(Value::Object(root)) = serde_json::from_str(text) else {
        return Err(refuse(None, NOT_UNDERSTOOD));
    };
    let id = match root.get("id") {
        None | Some(Value::Null) => None,
        Some(id) => Some(id.as_i64().ok_or(refuse(None, NOT_UNDERSTOOD))?).filter(|id| *id != 0),
    };
    let command = match root.get("cmd") {
        Some(Value::String(name)) => name.as_str(),
        None => "",
        Some(_) => return Err(refuse(id, NOT_UNDERSTOOD)),
    };
    let params = match root.get("params") {
        Some(Value::Object(params)) => Some(Params(params)),
        None | Some(Value::Null) => None,
        Some(_) => return Err(refuse(id, NOT_UNDERSTOOD)),
    };
    let command = match (command, params) {
        ("list_subscriptions", _) => Ok(Command::List),
        ("subscribe" | "unsubscribe" | "update_subscription", None) => Err(2),
        ("subscribe", Some(params)) => params.subscribe().map(Command::Subscribe),
        ("unsubscribe", Some(params)) => params.unsubscribe(),
        ("update_subscription", Some(params)) => params.update().map(Command::Update),
        _ => Err(5),
    };
    command.map(|command| (id, command)).map_err(|code| refuse(id, code))
}

struct Params<'a>(&'a Map<String, Value>);

impl Params<'_> {
    fn subscribe(&self) -> Result<Subscribe, u16> {
        let names = self.texts("channels")?.filter(|names| !names.is_empty()).ok_or(3_u16)?;
        let channels: Option<Vec<_>> = names.iter().map(|name| Channel::parse(name)).collect();
        let channels = channels.ok_or(8_u16)?;
        let tickers = self.tickers()?;
        if tickers.as_ref().is_some_and(Vec::is_empty) {
            return Err(INVALID);
        }
        if tickers.is_none() && channels.contains(&Channel::Book) {
            return Err(14);
        }
        Ok(Subscribe {
            channels,
            tickers,
            skip_ticker_ack: self.flag("skip_ticker_ack")?,
            use_yes_price: self.flag("use_yes_price")?,
            send_initial_snapshot: self.flag("send_initial_snapshot")?,
        })
    }

    fn unsubscribe(&self) -> Result<Command, u16> {
        let sids = self.sids()?.filter(|sids| !sids.is_empty()).ok_or(4_u16)?;
        Ok(Command::Unsubscribe(sids))
    }

    fn update(&self) -> Result<Update, u16> {
        let ((Some(sid), None) | (None, Some(&[sid]))) =
            (self.number("sid")?, self.sids()?.as_deref())
        else {
            return Err(12);
        };
        let action = self.text("action")?.ok_or(15_u16)?;
        let tickers = self.tickers()?;
        let send_initial_snapshot = self.flag("send_initial_snapshot")?;
        Ok(Update { sid, action, tickers, send_initial_snapshot })
    }

    fn tickers(&self) -> Result<Option<Vec<String>>, u16> {
        // Markets by UUID are not offered here.
        if self.0.contains_key("market_id") || self.0.contains_key("market_ids") {
            return Err(INVALID);
        }
        match (self.text("market_ticker")?, self.texts("market_tickers")?) {
            (Some(_), Some(_)) => Err(INVALID),
            (Some(one), None) => Ok(Some(vec![one])),
            (None, many) => Ok(many),
        }
    }

    fn sids(&self) -> Result<Option<Vec<u64>>, u16> {
        let Some(value) = self.0.get("sids") else { return Ok(None) };
        let array = value.as_array().ok_or(NOT_UNDERSTOOD)?;
        let sids: Option<Vec<_>> = array.iter().map(Value::as_u64).collect();
        sids.ok_or(NOT_UNDERSTOOD).map(Some)
    }

    fn texts(&self, key: &str) -> Result<Option<Vec<String>>, u16> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let array = value.as_array().ok_or(NOT_UNDERSTOOD)?;
        let texts: Option<Vec<_>> = array.iter().map(|v| v.as_str().map(str::to_owned)).collect();
        texts.ok_or(NOT_UNDERSTOOD).map(Some)
    }

    fn text(&self, key: &str) -> Result<Option<String>, u16> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(NOT_UNDERSTOOD),
        }
    }

    fn number(&self, key: &str) -> Result<Option<u64>, u16> {
        match self.0.get(key) {
            None => Ok(None),
            Some(value) => value.as_u64().ok_or(NOT_UNDERSTOOD).map(Some),
        }
    }

    fn flag(&self, key: &str) -> Result<bool, u16> {
        match self.0.get(key) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or(NOT_UNDERSTOOD),
        }
    }
}
