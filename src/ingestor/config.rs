//! What to record, from where, to where, and within which limits.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use super::{Error, session::Plan};
use crate::protocol::{Channel, Ticker};

/// Markets a connection gets when the number of connections is not given.
const MARKETS_PER_CONNECTION: usize = 100;
/// Connections opened when the number is not given; the exchange's demo allows no more.
const CONNECTIONS_MAX: usize = 10;

/// The exchange's environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Environment {
    /// Real money.
    #[default]
    Prod,
    /// The exchange's own demo.
    Demo,
    /// An exchange on this machine.
    Sandbox,
}

impl Environment {
    /// `prod`, `demo` or `sandbox`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prod => "prod",
            Self::Demo => "demo",
            Self::Sandbox => "sandbox",
        }
    }

    /// The WebSocket address; the sandbox has none until it is started.
    #[must_use]
    pub fn ws_url(self) -> Option<WsUrl> {
        let text = match self {
            Self::Prod => "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
            Self::Demo => "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
            Self::Sandbox => return None,
        };
        text.parse().ok()
    }
}

/// What happens to sealed segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// They become `.jsonl.zst`.
    #[default]
    Zstd,
    /// They stay as they are.
    None,
}

/// A WebSocket address that a signed request may go to: `wss`, or `ws` on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WsUrl {
    text: String,
    path_start: usize,
}

/// An address that no signed request goes to. Of the address, which may hold a password or a
/// token, only scheme and host are told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {problem}")]
pub struct UrlError {
    place: String,
    problem: &'static str,
}

impl WsUrl {
    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address without a query, which may hold what is nobody's business.
    #[must_use]
    pub fn without_query(&self) -> &str {
        self.text.split(['?', '#']).next().unwrap_or(&self.text)
    }

    /// What is signed: the path, without host and query.
    #[must_use]
    pub fn path(&self) -> &str {
        let path = self.text.get(self.path_start..).unwrap_or_default();
        path.split(['?', '#']).next().unwrap_or(path)
    }
}

impl fmt::Display for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for WsUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        const NO_ADDRESS: &str = "is not a WebSocket address (wss://host/path)";
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError { place: "this".to_owned(), problem: NO_ADDRESS });
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let host = match place.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(v6),
            None => place.split(':').next().unwrap_or(place),
        };
        let refuse = |problem| Err(UrlError { place: format!("`{scheme}://{host}`"), problem });
        if user.is_some() {
            return refuse("is given with a user name or password");
        }
        if host.is_empty() {
            return refuse("names no host");
        }
        let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        match scheme {
            "wss" => {}
            "ws" if local => {}
            "ws" => return refuse("would send signed requests in the clear; use wss://"),
            _ => return refuse(NO_ADDRESS),
        }
        let path_start = scheme.len() + "://".len() + authority.len();
        Ok(Self { text: text.to_owned(), path_start })
    }
}

/// Everything a recorder is told. Public fields; [`Default`] records nothing from production.
#[derive(Debug, Clone)]
pub struct Config {
    /// The markets.
    pub tickers: Vec<Ticker>,
    /// The channels.
    pub channels: Vec<Channel>,
    /// The log folder.
    pub log_dir: PathBuf,
    /// Named on the tape.
    pub environment: Environment,
    /// Where to connect.
    pub url: WsUrl,
    /// Connections to spread the markets over; `None` is one per 100 markets, at most 10.
    pub connections: Option<usize>,
    /// Messages that may wait for the logger.
    pub queue_messages: u32,
    /// The longest that a message waits in memory before it is in the file.
    pub flush: Duration,
    /// The longest that it then takes to survive a power cut.
    pub sync: Duration,
    /// A segment is sealed when it holds this many bytes.
    pub segment_bytes: u64,
    /// A segment is sealed when it is this old.
    pub segment_age: Duration,
    /// What happens to sealed segments.
    pub compression: Compression,
    /// Time limits on the network.
    pub limits: Limits,
}

/// Time limits on the network.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection and its handshake.
    pub connect: Duration,
    /// Without a frame of any kind for this long, we ping.
    pub ping: Duration,
    /// Without a frame of any kind for this long, the connection is dead.
    pub silence: Duration,
    /// For the snapshots of the markets asked for.
    pub snapshot: Duration,
    /// Frames that are this much later than the quickest are written down as lagging.
    pub lag: Duration,
    /// The first wait before connecting again.
    pub backoff_first: Duration,
    /// The longest wait before connecting again.
    pub backoff_cap: Duration,
    /// A connection that lived this long starts the waits over.
    pub healthy: Duration,
    /// Refused for so long for the number of connections, a connection is left to the others.
    pub cap: Duration,
    /// Between the first attempts of two workers.
    pub stagger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            snapshot: Duration::from_secs(30),
            lag: Duration::from_secs(2),
            backoff_first: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(30),
            healthy: Duration::from_secs(60),
            cap: Duration::from_secs(60),
            stagger: Duration::from_millis(100),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tickers: Vec::new(),
            channels: vec![
                Channel::OrderbookDelta,
                Channel::Ticker,
                Channel::Trade,
                Channel::MarketLifecycle,
            ],
            log_dir: PathBuf::from("./logs"),
            environment: Environment::Prod,
            url: WsUrl {
                text: "wss://external-api-ws.kalshi.com/trade-api/ws/v2".to_owned(),
                path_start: "wss://external-api-ws.kalshi.com".len(),
            },
            connections: None,
            queue_messages: 250_000,
            flush: Duration::from_millis(100),
            sync: Duration::from_secs(1),
            segment_bytes: 256 << 20,
            segment_age: Duration::from_secs(60 * 60),
            compression: Compression::Zstd,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Whether anything could come of it.
    ///
    /// # Errors
    /// [`Error::NoTickers`] and [`Error::Setting`].
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |setting, problem| Err(Error::Setting { setting, problem });
        if self.tickers.is_empty() && self.channels.iter().any(Channel::takes_markets) {
            return Err(Error::NoTickers);
        }
        if self.channels.is_empty() {
            return refuse("--channels", "names no channel");
        }
        if self.queue_messages == 0 {
            return refuse("--queue", "must be at least 1");
        }
        if self.connections == Some(0) {
            return refuse("--connections", "must be at least 1");
        }
        if self.segment_bytes == 0 || self.segment_age.is_zero() {
            return refuse("--segment-mb and --segment-minutes", "must be at least 1");
        }
        Ok(())
    }

    /// What each connection is for. Markets are dealt out in turn; channels that take no markets
    /// are exchange-wide and go to the first connection only.
    pub(super) fn plans(&self) -> Vec<Plan> {
        let wanted = self.tickers.len().div_ceil(MARKETS_PER_CONNECTION).min(CONNECTIONS_MAX);
        let count = self.connections.unwrap_or(wanted).min(self.tickers.len()).max(1);
        (0..count)
            .map(|number| Plan {
                markets: self.tickers.iter().skip(number).step_by(count).cloned().collect(),
                channels: self
                    .channels
                    .iter()
                    .filter(|channel| number == 0 || channel.takes_markets())
                    .cloned()
                    .collect(),
            })
            .collect()
    }

    /// The configuration as it stands on the tape. It has no secrets to leave out.
    pub(super) fn describe(&self) -> serde_json::Value {
        serde_json::json!({
            "url": self.url.without_query(),
            "markets": self.tickers.len(),
            "channels": self.channels.iter().map(Channel::as_str).collect::<Vec<_>>(),
            "connections": self.plans().len(),
            "queue_messages": self.queue_messages,
            "flush_ms": u64::try_from(self.flush.as_millis()).unwrap_or(u64::MAX),
            "sync_ms": u64::try_from(self.sync.as_millis()).unwrap_or(u64::MAX),
            "segment_bytes": self.segment_bytes,
            "segment_minutes": self.segment_age.as_secs() / 60,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_requests_go_to_tls_or_this_machine_only() {
        for url in [
            "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
            "ws://127.0.0.1:80/trade-api/ws/v2?x=1",
            "ws://[::1]:80/trade-api/ws/v2",
            "ws://localhost/trade-api/ws/v2",
        ] {
            assert_eq!(url.parse::<WsUrl>().unwrap().path(), "/trade-api/ws/v2", "{url}");
        }
        for url in [
            "ws://external-api-ws.kalshi.com/trade-api/ws/v2",
            "ws://localhost.evil.example/x",
            "ws://127.0.0.1@evil.example/x",
            "https://external-api.kalshi.com",
            "wss://",
            "kalshi.com",
            "",
        ] {
            assert!(url.parse::<WsUrl>().is_err(), "{url}");
        }
        assert_eq!(Environment::Prod.ws_url(), Some(Config::default().url));
        assert!(Environment::Demo.ws_url().is_some());
    }

    #[test]
    fn of_a_refused_address_neither_password_nor_token_is_told() {
        for (url, told) in [
            ("wss://me:SECRET@example.com/x", "`wss://example.com` is given with a user name"),
            ("wss://SECRET@[::1]:80/x", "`wss://::1` is given with a user name"),
            ("ws://example.com/SECRET?token=SECRET", "`ws://example.com` would send"),
            ("https://example.com:80/?SECRET", "`https://example.com` is not a WebSocket"),
            ("example.com?token=SECRET", "this is not a WebSocket"),
        ] {
            let error = url.parse::<WsUrl>().unwrap_err();
            let (display, debug) = (error.to_string(), format!("{error:?}"));
            assert!(display.starts_with(told), "{display}");
            assert!(!display.contains("SECRET") && !debug.contains("SECRET"), "{debug}");
        }
    }

    #[test]
    fn every_market_is_on_one_connection_and_lifecycle_on_the_first() {
        for (markets, connections, expected) in [
            (1, None, 1),
            (100, None, 1),
            (101, None, 2),
            (5_000, None, 10),
            (3, Some(8), 3),
            (0, None, 1),
        ] {
            let tickers: Vec<Ticker> =
                (0..markets).map(|n| format!("KXA-{n}").parse().unwrap()).collect();
            let plans = Config { tickers, connections, ..Config::default() }.plans();
            assert_eq!(plans.len(), expected);
            let mut all: Vec<_> = plans.iter().flat_map(|p| p.markets.clone()).collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), markets);
            for (number, plan) in plans.iter().enumerate() {
                assert_eq!(plan.channels.contains(&Channel::MarketLifecycle), number == 0);
            }
        }
    }
}
