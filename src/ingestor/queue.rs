//! The bounded way from the workers to the logger: batches of ready lines.
//!
//! Counted in messages, not batches, so that the limit means the same on a quiet and a busy day.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::Error;

/// Ready lines of one worker.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whole lines.
    pub(super) bytes: Vec<u8>,
    /// How many lines.
    pub(super) lines: u64,
    /// How many of them hold a frame.
    pub(super) frames: u64,
    /// How many messages of the exchange they hold, refused ones included.
    pub(super) messages: u32,
}

/// The workers' end.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    batches: mpsc::Sender<Batch>,
    room: Arc<Room>,
}

/// The logger's end.
#[derive(Debug)]
pub(super) struct Receiver {
    batches: mpsc::Receiver<Batch>,
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    free: Semaphore,
    capacity: u32,
    waiting: AtomicUsize,
    peak: AtomicUsize,
}

/// A queue that holds at most `capacity` messages.
pub(super) fn bounded(capacity: u32) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel();
    let room = Arc::new(Room {
        free: Semaphore::new(capacity as usize),
        capacity,
        waiting: AtomicUsize::new(0),
        peak: AtomicUsize::new(0),
    });
    (Sender { batches: sender, room: Arc::clone(&room) }, Receiver { batches: receiver, room })
}

impl Sender {
    /// Hands a batch over; waits while the queue is full, and returns how long that was.
    ///
    /// # Errors
    /// [`Error::LoggerGone`] when nobody writes any more.
    ///
    /// # Cancel safety
    /// Not cancel-safe: the batch is lost with the future. Never put it into a `select!`.
    pub(super) async fn send(&self, batch: Batch) -> Result<Option<Duration>, Error> {
        let room = &self.room;
        // A batch larger than the whole queue (one of very few) takes all of it.
        let messages = batch.messages.min(room.capacity);
        let mut waited = None;
        let permit = match room.free.try_acquire_many(messages) {
            Ok(permit) => permit,
            Err(_) => {
                let start = Instant::now();
                let permit =
                    room.free.acquire_many(messages).await.map_err(|_| Error::LoggerGone)?;
                waited = Some(start.elapsed());
                permit
            }
        };
        permit.forget();
        let count = messages as usize;
        let waiting = room.waiting.fetch_add(count, Ordering::Relaxed) + count;
        room.peak.fetch_max(waiting, Ordering::Relaxed);
        self.batches.send(batch).map_err(|_| Error::LoggerGone)?;
        Ok(waited)
    }

    /// The most messages one batch should hold.
    pub(super) fn batch_messages(&self) -> u32 {
        (self.room.capacity / 4).clamp(1, 1_024)
    }
}

impl Receiver {
    /// The next batch, `Ok(None)` after `patience` without one, or `Err` when no worker is left.
    pub(super) fn receive(&self, patience: Duration) -> Result<Option<Batch>, mpsc::RecvError> {
        match self.batches.recv_timeout(patience) {
            Ok(batch) => Ok(Some(batch)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(mpsc::RecvError),
        }
    }

    /// Makes room again for messages that are in the file.
    pub(super) fn free(&self, messages: u32) {
        let messages = messages.min(self.room.capacity) as usize;
        self.room.waiting.fetch_sub(messages, Ordering::Relaxed);
        self.room.free.add_permits(messages);
    }

    /// Whether half of the queue is taken: no time to gather more.
    pub(super) fn is_tight(&self) -> bool {
        self.room.waiting.load(Ordering::Relaxed) >= self.room.capacity.div_ceil(2) as usize
    }

    /// The most messages that waited at once.
    pub(super) fn peak(&self) -> usize {
        self.room.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Whoever waits for room would wait for ever.
        self.room.free.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(messages: u32) -> Batch {
        Batch { messages, ..Batch::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_makes_the_sender_wait_and_says_how_long() {
        let (sender, receiver) = bounded(10);
        assert!(sender.send(batch(6)).await.unwrap().is_none());
        let late = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(batch(5)).await }
        });
        tokio::task::yield_now().await;
        assert!(!late.is_finished());
        let first = receiver.receive(Duration::ZERO).unwrap().unwrap();
        receiver.free(first.messages);
        assert!(late.await.unwrap().unwrap().is_some());
        assert_eq!(receiver.peak(), 6);
    }

    #[tokio::test]
    async fn one_batch_larger_than_the_queue_still_passes() {
        let (sender, receiver) = bounded(3);
        sender.send(batch(100)).await.unwrap();
        let large = receiver.receive(Duration::ZERO).unwrap().unwrap();
        receiver.free(large.messages);
        sender.send(batch(3)).await.unwrap();
    }

    #[tokio::test]
    async fn a_dead_logger_is_an_error_and_not_a_wait() {
        let (sender, receiver) = bounded(3);
        sender.send(batch(3)).await.unwrap();
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(batch(1)).await }
        });
        tokio::task::yield_now().await;
        drop(receiver);
        assert!(matches!(waiting.await.unwrap(), Err(Error::LoggerGone)));
        assert!(matches!(sender.send(batch(0)).await, Err(Error::LoggerGone)));
    }
}
