//! Opening the socket: TLS, the signed upgrade, and what a refusal means.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, Response, Uri},
        protocol::WebSocketConfig,
    },
};

use super::{answer::Answer, arrival::Arrival, clock, config::WsUrl, through::Through};
use crate::protocol::Credentials;

/// The exchange's own limit on a message.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// How much of a refusal's body is kept.
const REASON_CHARS_MAX: usize = 300;

/// The bytes of a connection, and when they came.
type Stream = MaybeTlsStream<Through<TcpStream, Arrival>>;

/// An open, accepted connection.
pub(super) struct Connection {
    socket: WebSocketStream<Through<Stream, Answer>>,
    /// Whether every message that was read has been looked at.
    drained: bool,
}

/// Why no connection was made.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Will be refused again: the key is wrong.
    Key { status: u16, reason: String, clock_skew_ms: Option<i64> },
    /// May work later.
    Later { status: Option<u16>, reason: String },
}

impl Connection {
    /// Connects and upgrades with a fresh signature.
    pub(super) async fn open(
        url: &WsUrl,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<Self, Refusal> {
        let later = |reason: String| Refusal::Later { status: None, reason };
        let mut request = url.as_str().into_client_request().map_err(|e| later(chain(&e)))?;
        let headers = credentials.sign("GET", url.path(), clock::wall_ns() / 1_000_000);
        for (name, value) in headers.pairs() {
            let mut value = HeaderValue::from_str(value).map_err(|e| later(chain(&e)))?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let connecting = async {
            let socket = Through::new(connect(request.uri()).await?, Answer::awaited());
            client_async_with_config(request, socket, Some(config)).await
        };
        match timeout(limit, connecting).await {
            Ok(Ok((socket, _))) => Ok(Self { socket, drained: false }),
            Ok(Err(tungstenite::Error::Http(response))) => Err(refusal(&response)),
            Ok(Err(error)) => Err(later(chain(&error))),
            Err(_) => Err(later(format!("no answer within {} s", limit.as_secs()))),
        }
    }

    /// The next message; `None` at the end of the stream.
    ///
    /// # Cancel safety
    /// Cancel-safe: what was read stays in the socket's buffer.
    pub(super) async fn next(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        poll_fn(|context| {
            let next = self.socket.poll_next_unpin(context);
            self.drained = next.is_pending();
            next
        })
        .await
    }

    /// When the bytes that end the last message arrived, or later bytes in the same read.
    pub(super) fn arrived(&self) -> Instant {
        self.socket.get_ref().get_ref().get_ref().reading().last()
    }

    /// The time of what happens now: that of the last arrival while messages of it wait to be looked
    /// at, as they were there before.
    pub(super) fn time(&self) -> Instant {
        if self.drained { Instant::now() } else { self.arrived() }
    }

    /// Sends one message.
    ///
    /// # Cancel safety
    /// Not cancel-safe: the message may be sent in part.
    pub(super) async fn send(
        &mut self,
        message: Message,
        limit: Duration,
    ) -> Result<(), tungstenite::Error> {
        match timeout(limit, self.socket.send(message)).await {
            Ok(sent) => sent,
            Err(_) => Err(tungstenite::Error::Io(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Says goodbye. What the exchange sent before it answers can still be read.
    pub(super) async fn say_goodbye(&mut self, limit: Duration) {
        match timeout(limit, self.socket.close(None)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "closing handshake"),
            Err(_) => tracing::debug!("closing handshake: no room to send"),
        }
    }
}

async fn connect(uri: &Uri) -> io::Result<Stream> {
    let is_tls = uri.scheme_str() == Some("wss");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    // A host of IPv6 is in brackets, as it is wanted for an address and not for a name.
    let host = uri.host().unwrap_or_default();
    let socket = TcpStream::connect(format!("{host}:{port}")).await?;
    socket.set_nodelay(true)?;
    let socket = Through::new(socket, Arrival::new(Instant::now()));
    if !is_tls {
        return Ok(MaybeTlsStream::Plain(socket));
    }
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::new(tls().map_err(io::Error::other)?));
    Ok(MaybeTlsStream::Rustls(tls.connect(name, socket).await?))
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn refusal(response: &Response<Option<Vec<u8>>>) -> Refusal {
    let status = response.status().as_u16();
    let body = response.body().as_deref().unwrap_or_default();
    let encoding = response.headers().get("transfer-encoding").map(HeaderValue::as_bytes);
    let is_chunked = encoding.is_some_and(|encoding| encoding.ends_with(b"chunked"));
    let body = if is_chunked { dechunked(body) } else { body.to_vec() };
    let body: String = String::from_utf8_lossy(&body)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON_CHARS_MAX)
        .collect();
    let reason = match body.trim() {
        "" => response.status().canonical_reason().unwrap_or("no reason given").to_owned(),
        body => body.to_owned(),
    };
    if !matches!(status, 401 | 403) {
        return Refusal::Later { status: Some(status), reason };
    }
    let clock_skew_ms = response
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok())
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        // A second that has begun: on average half of it is over.
        .map(|date| date.timestamp().as_millisecond() + 500 - clock::wall_ns() / 1_000_000);
    Refusal::Key { status, reason, clock_skew_ms }
}

/// A body that came in chunks, as far as it came.
fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(body) {
        let rest = body.get(start..).unwrap_or_default();
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        let (chunk, rest) = rest.split_at(length);
        whole.extend_from_slice(chunk);
        body = rest.strip_prefix(b"\r\n").unwrap_or_default();
    }
    whole
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio_tungstenite::{accept_async, client_async};

    use super::*;

    #[test]
    fn a_reason_in_chunks_is_put_together() {
        assert_eq!(dechunked(b"3\r\nNOT\r\n6\r\n_FOUND\r\n0\r\n\r\n"), b"NOT_FOUND");
        assert_eq!(dechunked(b"3\r\nNOT\r\n6\r\n_FO"), b"NOT_FO");
        assert_eq!(dechunked(b"zz"), b"");
    }

    #[tokio::test]
    async fn while_messages_wait_the_time_is_that_of_their_arrival() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("ws://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let server = async {
            let mut socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
            for text in ["1", "2"] {
                socket.feed(Message::text(text)).await.unwrap();
            }
            socket.flush().await.unwrap();
            socket
        };
        let client = async {
            let socket = Through::new(connect(&uri).await.unwrap(), Answer::awaited());
            client_async(uri.clone(), socket).await.unwrap().0
        };
        let (_server, socket) = tokio::join!(server, client);
        let mut connection = Connection { socket, drained: false };
        assert_eq!(connection.next().await.unwrap().unwrap(), Message::text("1"));
        assert_eq!(connection.time(), connection.arrived());
        assert_eq!(connection.next().await.unwrap().unwrap(), Message::text("2"));
        assert!(connection.next().now_or_never().is_none());
        assert!(connection.time() > connection.arrived());
    }
}
