//! The bounded way from the workers to the logger: batches of ready lines.
//!
//! Counted in messages, not batches, so that the limit means the same on a quiet and a busy day. A
//! large message counts as one for each KiB, so that memory has a limit too.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::Error;

/// Emptied buffers that are kept for the next batches.
const SPARE_MAX: usize = 8;
/// A larger one held an exceptional message and goes back to the system.
const SPARE_BYTES_MAX: usize = 512 << 10;

/// Ready lines of one worker.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whole lines.
    pub(super) bytes: Vec<u8>,
    /// How many lines.
    pub(super) lines: u64,
    /// How many of them hold a frame.
    pub(super) frames: u64,
    /// How many of them hold a message that is no frame.
    pub(super) rejected: u64,
    /// How many messages of the exchange they hold, of both kinds.
    pub(super) messages: u32,
    /// The room that it takes in the queue.
    room: u32,
}

impl Batch {
    /// What it weighs: its messages, or its KiB if those are more.
    fn weight(&self) -> u32 {
        self.messages.max(u32::try_from(self.bytes.len() >> 10).unwrap_or(u32::MAX))
    }
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
    peak: AtomicUsize,
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Room {
    /// How much waits, in messages.
    fn taken(&self) -> usize {
        (self.capacity as usize).saturating_sub(self.free.available_permits())
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue that holds at most `capacity` messages, and as many KiB.
pub(super) fn bounded(capacity: u32) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel();
    let room = Arc::new(Room {
        free: Semaphore::new(capacity as usize),
        capacity,
        peak: AtomicUsize::new(0),
        spare: Mutex::default(),
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
    pub(super) async fn send(&self, mut batch: Batch) -> Result<Option<Duration>, Error> {
        let room = &self.room;
        // A batch larger than the whole queue takes all of it.
        batch.room = batch.weight().min(room.capacity);
        let mut waited = None;
        let permit = match room.free.try_acquire_many(batch.room) {
            Ok(permit) => permit,
            Err(_) => {
                let start = Instant::now();
                let permit =
                    room.free.acquire_many(batch.room).await.map_err(|_| Error::LoggerGone)?;
                waited = Some(start.elapsed());
                permit
            }
        };
        permit.forget();
        room.peak.fetch_max(room.taken(), Ordering::Relaxed);
        self.batches.send(batch).map_err(|_| Error::LoggerGone)?;
        Ok(waited)
    }

    /// A batch to fill, with the memory of one that is in the file.
    pub(super) fn empty(&self) -> Batch {
        Batch { bytes: self.room.spare().pop().unwrap_or_default(), ..Batch::default() }
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

    /// Puts the lines of a later batch behind those of an earlier one.
    pub(super) fn join(&self, earlier: &mut Batch, later: Batch) {
        if earlier.bytes.is_empty() {
            self.keep(std::mem::replace(&mut earlier.bytes, later.bytes));
        } else {
            earlier.bytes.extend_from_slice(&later.bytes);
            self.keep(later.bytes);
        }
        earlier.lines += later.lines;
        earlier.frames += later.frames;
        earlier.rejected += later.rejected;
        earlier.room += later.room;
    }

    /// Makes room again: these lines are in the file.
    pub(super) fn free(&self, batch: Batch) {
        self.room.free.add_permits(batch.room as usize);
        self.keep(batch.bytes);
    }

    fn keep(&self, mut buffer: Vec<u8>) {
        let mut spare = self.room.spare();
        if spare.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// Whether half of the queue is taken: no time to gather more.
    pub(super) fn is_tight(&self) -> bool {
        self.room.taken() >= self.room.capacity.div_ceil(2) as usize
    }

    /// The most that waited at once, in messages.
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
    use futures_util::FutureExt;

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
        receiver.free(first);
        assert!(late.await.unwrap().unwrap().is_some());
        assert_eq!(receiver.peak(), 6);
    }

    #[tokio::test]
    async fn one_batch_larger_than_the_queue_still_passes() {
        let (sender, receiver) = bounded(3);
        sender.send(batch(100)).await.unwrap();
        let large = receiver.receive(Duration::ZERO).unwrap().unwrap();
        receiver.free(large);
        sender.send(batch(3)).await.unwrap();
    }

    #[tokio::test]
    async fn a_large_message_takes_the_room_of_many() {
        let (sender, receiver) = bounded(10);
        let large = Batch { bytes: vec![b' '; 8 << 10], messages: 1, ..Batch::default() };
        sender.send(large).await.unwrap();
        sender.send(batch(2)).await.unwrap();
        assert_eq!(receiver.peak(), 10);
        assert!(sender.send(batch(1)).now_or_never().is_none());
        let mut gathered = receiver.receive(Duration::ZERO).unwrap().unwrap();
        receiver.join(&mut gathered, receiver.receive(Duration::ZERO).unwrap().unwrap());
        receiver.free(gathered);
        assert!(sender.send(batch(10)).await.unwrap().is_none());
        assert!(sender.empty().bytes.capacity() >= 8 << 10, "the memory is used again");
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
