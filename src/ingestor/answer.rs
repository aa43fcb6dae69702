//! A stream that gives the answer to an upgrade as a whole.
//!
//! Of a refusal, tungstenite has what came in one read with the end of its head. The reason may come
//! after that, and without it nobody knows what to do.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A longer answer is given as far as it has come.
const HELD_BYTES_MAX: usize = 64 << 10;
const READ_BYTES: usize = 4 << 10;
const HEADERS_MAX: usize = 124;

/// `inner`, whose first bytes are the answer to an upgrade.
#[derive(Debug)]
pub(super) struct Answer<S> {
    inner: S,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// What has come of the answer.
    Coming(Vec<u8>),
    /// What has been held back, and how much of it is given.
    Giving(Vec<u8>, usize),
    /// Whatever comes is given.
    Open,
}

impl<S> Answer<S> {
    pub(super) const fn of(inner: S) -> Self {
        Self { inner, stage: Stage::Coming(Vec::new()) }
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.inner
    }
}

/// Whether nothing more of an answer is to be waited for.
fn is_whole(answer: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(answer) {
        Ok(httparse::Status::Partial) => return false,
        Ok(httparse::Status::Complete(head)) => head,
        // Whoever asked will see what is wrong with it.
        Err(_) => return true,
    };
    if response.code == Some(101) {
        return true;
    }
    let value = |wanted: &str| {
        let header = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(wanted));
        header.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    let body = answer.len() - head;
    match (value("transfer-encoding"), value("content-length")) {
        (Some(_), _) => answer.ends_with(b"0\r\n\r\n"),
        (None, Some(length)) => length.parse().map_or(true, |length: usize| body >= length),
        (None, None) => true,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Answer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, stage } = &mut *self;
        loop {
            match stage {
                Stage::Open => return Pin::new(inner).poll_read(cx, buf),
                Stage::Giving(held, given) => {
                    let left = held.get(*given..).unwrap_or_default();
                    let now = left.len().min(buf.remaining());
                    buf.put_slice(left.get(..now).unwrap_or_default());
                    *given += now;
                    if *given >= held.len() {
                        *stage = Stage::Open;
                    }
                    return Poll::Ready(Ok(()));
                }
                Stage::Coming(held) => {
                    let mut space = [0; READ_BYTES];
                    let mut read = ReadBuf::new(&mut space);
                    ready!(Pin::new(&mut *inner).poll_read(cx, &mut read))?;
                    held.extend_from_slice(read.filled());
                    let ended = read.filled().is_empty();
                    if ended || held.len() > HELD_BYTES_MAX || is_whole(held) {
                        *stage = Stage::Giving(std::mem::take(held), 0);
                    }
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Answer<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What the first read gives of an answer that comes in these parts, and the second.
    async fn read(parts: &[&str]) -> [String; 2] {
        let (mut far, near) = duplex(1 << 20);
        let mut near = Answer::of(near);
        let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let send = tokio::spawn(async move {
            for part in parts {
                far.write_all(part.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut texts = [String::new(), String::new()];
        for text in &mut texts {
            let mut space = vec![0; 1 << 20];
            let count = near.read(&mut space).await.unwrap();
            *text = String::from_utf8_lossy(&space[..count]).into_owned();
        }
        send.await.unwrap();
        texts
    }

    #[tokio::test]
    async fn a_refusal_is_given_with_its_body() {
        let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n";
        let chunked = "HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n";
        for parts in [
            &[head, "NOT_FOUND"] as &[&str],
            &["HTTP/1.1 401 Unauthorized\r\nContent-", "Length: 9\r\n\r\nNOT", "_FOUND"],
            &[chunked, "9\r\nNOT_", "FOUND\r\n", "0\r\n\r\n"],
        ] {
            let [first, second] = read(parts).await;
            assert_eq!((first, second), (parts.concat(), String::new()));
        }
    }

    #[tokio::test]
    async fn nothing_is_held_back_for_what_was_not_announced() {
        let open = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        for head in [open, "HTTP/1.1 503 Service Unavailable\r\n\r\n", "no HTTP\r\n\r\n"] {
            assert_eq!(read(&[head, "later"]).await, [head, "later"]);
        }
        let cut = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nNOT";
        assert_eq!(read(&[cut]).await, [cut, ""]);
    }
}
