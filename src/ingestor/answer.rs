//! The answer to an upgrade, as a whole.
//!
//! Of a refusal, tungstenite has what came in one read with the end of its head. The reason may come
//! after that, and without it nobody knows what to do. It is waited for a little; whatever becomes
//! of it, the head counts.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Sleep, sleep},
};

use super::through::Reading;

/// How long a body is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// A longer answer is given as far as it has come: no more than this is read of it at once.
const HELD_BYTES_MAX: usize = 4 << 10;
const HEADERS_MAX: usize = 124;

/// How far the answer to an upgrade is, which a stream begins with.
#[derive(Debug)]
pub(super) enum Answer {
    /// What has come of the answer, and until when the rest of its body is waited for, once that is
    /// all that is missing.
    Coming(Vec<u8>, Option<Pin<Box<Sleep>>>),
    /// What has been held back, and how much of it is given.
    Giving(Vec<u8>, usize),
    /// Whatever comes is given.
    Open,
}

impl Answer {
    pub(super) const fn awaited() -> Self {
        Self::Coming(Vec::new(), None)
    }
}

/// How much of an answer has come.
#[derive(Debug, PartialEq, Eq)]
enum Come {
    /// Not yet its head.
    Part,
    /// Its head; more of the body is to come, or may be.
    Head,
    Whole,
}

fn come(answer: &[u8]) -> Come {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(answer) {
        Ok(httparse::Status::Partial) => return Come::Part,
        Ok(httparse::Status::Complete(head)) => head,
        // Whoever asked will see what is wrong with it.
        Err(_) => return Come::Whole,
    };
    let length = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length =
        length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    let body = answer.get(head..).unwrap_or_default();
    let is_whole = match (response.code, length) {
        (Some(101), _) => true,
        (_, Some(length)) => body.len() >= length,
        // In chunks, or up to the end of the connection.
        (_, None) => body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n"),
    };
    if is_whole { Come::Whole } else { Come::Head }
}

impl Reading for Answer {
    fn poll_read(
        &mut self,
        mut inner: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Open => return inner.poll_read(cx, buf),
                Self::Giving(held, given) => {
                    let left = held.get(*given..).unwrap_or_default();
                    let now = left.len().min(buf.remaining());
                    buf.put_slice(left.get(..now).unwrap_or_default());
                    *given += now;
                    if *given >= held.len() {
                        *self = Self::Open;
                    }
                    return Poll::Ready(Ok(()));
                }
                Self::Coming(held, patience) => {
                    let mut space = [0; HELD_BYTES_MAX];
                    let mut read = ReadBuf::new(&mut space);
                    let is_over = match inner.as_mut().poll_read(cx, &mut read) {
                        Poll::Ready(Err(error)) if come(held) == Come::Part => {
                            return Poll::Ready(Err(error));
                        }
                        Poll::Ready(Err(_)) => true,
                        Poll::Ready(Ok(())) => {
                            held.extend_from_slice(read.filled());
                            let come = come(held);
                            if come == Come::Head {
                                patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
                            }
                            let is_end = read.filled().is_empty() || held.len() > HELD_BYTES_MAX;
                            is_end || come == Come::Whole
                        }
                        Poll::Pending => {
                            let Some(patience) = patience else { return Poll::Pending };
                            if patience.as_mut().poll(cx).is_pending() {
                                return Poll::Pending;
                            }
                            true
                        }
                    };
                    if is_over {
                        *self = Self::Giving(std::mem::take(held), 0);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::{super::through::Through, *};

    /// What the first read gives of an answer that comes in these parts, and the second.
    async fn read(parts: &[&str]) -> [String; 2] {
        let (mut far, near) = duplex(1 << 20);
        let mut near = Through::new(near, Answer::awaited());
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
        let ending = "HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\nX: 10\r\n\r\n";
        for parts in [
            &[head, "NOT_FOUND"] as &[&str],
            &["HTTP/1.1 401 Unauthorized\r\nContent-", "Length: 9\r\n\r\nNOT", "_FOUND"],
            &[chunked, "9\r\nNOT_", "FOUND\r\n", "0\r\n\r\n"],
            &[ending, "9\r\nNOT_FOUND\r\n0\r\n\r\n"],
        ] {
            let [first, second] = read(parts).await;
            assert_eq!((first, second), (parts.concat(), String::new()));
        }
    }

    #[tokio::test]
    async fn nothing_is_held_back_of_what_is_accepted_or_no_answer() {
        let open = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        for head in [open, "no HTTP\r\n\r\n"] {
            assert_eq!(read(&[head, "later"]).await, [head, "later"]);
        }
    }

    /// The head says what to do; a body that does not come whole does not keep it back.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for_long() {
        let cut = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nNOT";
        assert_eq!(read(&[cut]).await, [cut, ""]);
        let endless = "HTTP/1.1 401 Unauthorized\r\n\r\nNOT_FOUND";
        for answer in [cut, endless] {
            let (mut far, near) = duplex(1 << 10);
            let mut near = Through::new(near, Answer::awaited());
            far.write_all(answer.as_bytes()).await.unwrap();
            let begun = tokio::time::Instant::now();
            let mut space = [0; 1 << 10];
            let count = near.read(&mut space).await.unwrap();
            assert_eq!(&space[..count], answer.as_bytes());
            assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
        }
    }

    #[tokio::test]
    async fn what_has_come_is_given_where_the_connection_breaks() {
        let cut = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nNOT";
        let broken = tokio_test::io::Builder::new()
            .read(cut)
            .read_error(io::ErrorKind::ConnectionReset.into())
            .build();
        let mut near = Through::new(broken, Answer::awaited());
        let mut space = [0; 1 << 10];
        let count = near.read(&mut space).await.unwrap();
        assert_eq!(&space[..count], cut);
    }
}
