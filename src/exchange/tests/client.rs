//! A client that knows the protocol only as text, and keeps books the naive way.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signer, pkcs8::DecodePrivateKey};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest, http::Request},
};

use crate::exchange::{BookImage, Exchange, server::now_us};
use crate::protocol::{Price, Size};

pub(super) const PATH: &str = "/trade-api/ws/v2";

/// Books from frames: levels by (ticker, side), and the last `seq` of each sid.
#[derive(Debug, Default)]
pub(super) struct Books {
    levels: BTreeMap<(String, String), BTreeMap<Price, Size>>,
    pub(super) seqs: BTreeMap<u64, u64>,
    pub(super) snapshots: usize,
}

impl Books {
    /// Applies a frame; a skipped number panics.
    pub(super) fn apply(&mut self, text: &str) {
        assert!(text.ends_with('\n'), "{text}");
        let frame: Value = serde_json::from_str(text).unwrap();
        if let (Some(sid), Some(seq)) = (frame["sid"].as_u64(), frame["seq"].as_u64()) {
            let last = self.seqs.insert(sid, seq).unwrap_or(0);
            assert_eq!(seq, last + 1, "{text}");
        }
        let msg = &frame["msg"];
        let ticker = msg["market_ticker"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str().unwrap() {
            "orderbook_snapshot" => {
                self.snapshots += 1;
                for (side, key) in [("yes", "yes_dollars_fp"), ("no", "no_dollars_fp")] {
                    let levels = msg[key].as_array().into_iter().flatten();
                    let levels: BTreeMap<_, _> =
                        levels.map(|level| (number(&level[0]), number(&level[1]))).collect();
                    self.levels.insert((ticker.clone(), side.to_owned()), levels);
                }
            }
            "orderbook_delta" => {
                let side = msg["side"].as_str().unwrap().to_owned();
                let book = self.levels.get_mut(&(ticker, side)).expect("a snapshot comes first");
                let price = number(&msg["price_dollars"]);
                let size = book.entry(price).or_insert(Size::ZERO);
                *size += number(&msg["delta_fp"]);
                assert!(*size >= Size::ZERO, "{text}");
                if *size == Size::ZERO {
                    book.remove(&price);
                }
            }
            _ => {}
        }
    }

    /// The book of a ticker, best first.
    pub(super) fn book(&self, ticker: &str) -> BookImage {
        let side = |side: &str| {
            let levels = self.levels.get(&(ticker.to_owned(), side.to_owned()));
            levels.into_iter().flatten().rev().map(|(p, s)| (*p, *s)).collect()
        };
        BookImage { ticker: ticker.to_owned(), yes: side("yes"), no: side("no") }
    }
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

pub(super) fn signed(exchange: &Exchange, timestamp_ms: i64) -> Request<()> {
    let pem = exchange.private_key_pem().unwrap();
    let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).unwrap();
    let signature = key.sign(format!("{timestamp_ms}GET{PATH}").as_bytes());
    let mut request = exchange.ws_url().into_client_request().unwrap();
    for (name, value) in [
        ("KALSHI-ACCESS-KEY", exchange.key_id().to_owned()),
        ("KALSHI-ACCESS-TIMESTAMP", timestamp_ms.to_string()),
        ("KALSHI-ACCESS-SIGNATURE", BASE64_STANDARD.encode(signature.to_bytes())),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// A connected client.
pub(super) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(super) async fn connect(exchange: &Exchange) -> Result<Self, Error> {
        let request = signed(exchange, now_us() / 1_000);
        tokio_tungstenite::connect_async(request).await.map(|(socket, _)| Self(socket))
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next text; `None` when the exchange has hung up.
    pub(super) async fn hear(&mut self) -> Option<String> {
        // Pings do not count as having something to say.
        let text = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                }
            }
        };
        let limit = std::time::Duration::from_secs(20);
        tokio::time::timeout(limit, text).await.expect("the exchange has something to say")
    }

    /// Takes the next message without a look at it or at the time.
    pub(super) async fn hear_fast(&mut self) {
        self.0.next().await.unwrap().unwrap();
    }
}
