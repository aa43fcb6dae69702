//! A stream that remembers when its last bytes arrived.
//!
//! One read of a busy socket brings hundreds of frames. Their receive time is the time of that
//! read, not the later moment at which each is looked at; and the clock is asked once for all.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `inner`, and when something was last read from it.
#[derive(Debug)]
pub(super) struct Arrival<S> {
    inner: S,
    last: Instant,
}

impl<S> Arrival<S> {
    pub(super) const fn new(inner: S, now: Instant) -> Self {
        Self { inner, last: now }
    }

    /// When bytes last came, or the stream began.
    pub(super) const fn last(&self) -> Instant {
        self.last
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Arrival<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        self.last = Instant::now();
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Arrival<S> {
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
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn the_time_is_that_of_the_last_bytes_and_not_of_the_look_at_them() {
        let (mut far, near) = tokio::io::duplex(64);
        let start = Instant::now();
        let mut near = Arrival::new(near, start);
        assert_eq!(near.last(), start);
        far.write_all(b"hello").await.unwrap();
        let mut two = [0; 2];
        near.read_exact(&mut two).await.unwrap();
        let first = near.last();
        assert!(first > start);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(near.last(), first);
        near.read_exact(&mut two).await.unwrap();
        assert!(near.last() >= first + Duration::from_millis(5));
    }
}
