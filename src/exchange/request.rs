//! Requests as they come off the socket, before it is known what they want.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    handshake::{machine::TryParse, server},
    http::StatusCode,
};

use super::{auth::Signed, wire};

const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A request's head, and what was read beyond it.
#[derive(Debug)]
pub(super) struct Request {
    head: server::Request,
    pub(super) rest: Vec<u8>,
}

impl Request {
    /// Reads a GET request's head.
    ///
    /// # Errors
    /// When the client hangs up, is too slow, or sends something else.
    pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let refused = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
        let mut bytes = Vec::with_capacity(1_024);
        loop {
            let read = timeout(HEAD_TIMEOUT, stream.read_buf(&mut bytes)).await??;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match server::Request::try_parse(&bytes) {
                Ok(Some((length, head))) => {
                    return Ok(Self { head, rest: bytes.split_off(length) });
                }
                Ok(None) if bytes.len() < HEAD_BYTES_MAX => {}
                Ok(None) => return Err(refused("the request's head is too long")),
                Err(_) => return Err(refused("not an HTTP/1.1 GET request")),
            }
        }
    }

    pub(super) fn path(&self) -> &str {
        self.head.uri().path()
    }

    pub(super) fn query(&self) -> &str {
        self.head.uri().query().unwrap_or_default()
    }

    pub(super) fn is_upgrade(&self) -> bool {
        self.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }

    pub(super) fn signed(&self) -> Signed<'_> {
        Signed {
            key_id: self.header("kalshi-access-key"),
            timestamp: self.header("kalshi-access-timestamp"),
            signature: self.header("kalshi-access-signature"),
        }
    }

    /// Accepts the upgrade; `false` when the request is no proper WebSocket handshake.
    pub(super) async fn upgrade(&self, stream: &mut TcpStream, clock_us: i64) -> io::Result<bool> {
        let Ok(response) = server::create_response(&self.head) else {
            let body = r#"{"error":{"code":"bad_request","message":"bad request"}}"#;
            answer(stream, 400, body, clock_us).await?;
            return Ok(false);
        };
        let mut bytes = Vec::new();
        server::write_response(&mut bytes, &response).map_err(io::Error::other)?;
        stream.write_all(&bytes).await?;
        Ok(true)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }
}

/// Answers with JSON and the exchange's time, and ends the connection.
pub(super) async fn answer(
    stream: &mut TcpStream,
    status: u16,
    body: &str,
    clock_us: i64,
) -> io::Result<()> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         date: {}\r\nconnection: close\r\n\r\n",
        reason.unwrap_or("Unknown"),
        body.len(),
        date(clock_us),
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// A time as HTTP prints it.
fn date(clock_us: i64) -> String {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&wire::time(clock_us)).unwrap_or_default()
}
