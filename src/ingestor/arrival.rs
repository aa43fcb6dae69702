//! When the last bytes of a stream arrived.
//!
//! One read of a busy socket brings hundreds of frames. Their receive time is the time of that
//! read, not the later moment at which each is looked at; and the clock is asked once for all.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::io::{AsyncRead, ReadBuf};

use super::through::Reading;

/// When something was last read.
#[derive(Debug)]
pub(super) struct Arrival {
    last: Instant,
}

impl Arrival {
    pub(super) const fn new(now: Instant) -> Self {
        Self { last: now }
    }

    /// When bytes last came, or the stream began.
    pub(super) const fn last(&self) -> Instant {
        self.last
    }
}

impl Reading for Arrival {
    fn poll_read(
        &mut self,
        inner: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(inner.poll_read(cx, buf));
        self.last = Instant::now();
        Poll::Ready(read)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{super::through::Through, *};

    #[tokio::test]
    async fn the_time_is_that_of_the_last_bytes_and_not_of_the_look_at_them() {
        let (mut far, near) = tokio::io::duplex(64);
        let start = Instant::now();
        let mut near = Through::new(near, Arrival::new(start));
        assert_eq!(near.reading().last(), start);
        far.write_all(b"hello").await.unwrap();
        let mut two = [0; 2];
        near.read_exact(&mut two).await.unwrap();
        let first = near.reading().last();
        assert!(first > start);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(near.reading().last(), first);
        near.read_exact(&mut two).await.unwrap();
        assert!(near.reading().last() >= first + Duration::from_millis(5));
    }
}
