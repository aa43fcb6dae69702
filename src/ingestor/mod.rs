//! The live recorder: signed WebSockets in, the tape out.
//!
//! Each worker task owns one connection and a session, which holds every decision and does no I/O.
//! Workers turn frames into ready lines and hand them over in batches; one logger thread writes
//! them. The queue between is bounded: when it is full the sockets are not read, the exchange feels
//! it through TCP, and the stall is written down. Nothing is dropped.
//!
//! Stopping goes one way only: cancel, each worker takes what its socket still holds and drops its
//! end of the queue, the logger drains, seals the segment, and is joined.

mod answer;
mod arrival;
mod backoff;
mod books;
mod clock;
mod compressor;
mod config;
mod connection;
mod error;
mod feed;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handover;
mod kinds;
mod lag;
mod queue;
mod session;
#[cfg(test)]
mod simulation;
mod stats;
mod syncer;
mod talk;
mod through;
mod worker;
mod writer;

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicU32},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::protocol::Credentials;

pub use config::{Compression, Config, Environment, Limits, UrlError, WsUrl};
pub use error::Error;
pub use stats::{Progress, Summary};

/// Records order books until it is told to stop.
///
/// ```no_run
/// use kalshi_orderbook::{ingestor::{Config, Ingestor}, protocol::Credentials};
///
/// # async fn example(pem: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config { tickers: vec!["KXFED-27APR-T4.25".parse()?], ..Config::default() };
/// let credentials = Credentials::new("my-key-id", pem)?;
/// let summary = Ingestor::new(config, credentials)
///     .run(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
///     .await?;
/// println!("{summary}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Ingestor {
    config: Config,
    credentials: Credentials,
    stats: Arc<stats::Stats>,
}

impl Ingestor {
    /// Prepares a recorder.
    #[must_use]
    pub fn new(config: Config, credentials: Credentials) -> Self {
        Self { config, credentials, stats: Arc::default() }
    }

    /// What can be asked while [`Self::run`] is under way.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress(Arc::clone(&self.stats))
    }

    /// Records until `shutdown` completes; then drains everything received and seals the segment.
    ///
    /// # Errors
    /// [`Error`] when nothing can be recorded: no tickers, refused credentials, a disk that cannot
    /// be written. A lost connection is no error: it is made again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Summary, Error> {
        let Self { config, credentials, stats } = self;
        config.check()?;
        let session = clock::session_id()?;
        let (queue, batches) = queue::bounded(config.queue_messages);
        let logger = writer::spawn(&config, &session, batches, Arc::clone(&stats))?;

        let stop = CancellationToken::new();
        let connections = Arc::new(AtomicU32::new(0));
        let handover = Arc::new(handover::Handover::default());
        let mut workers = JoinSet::new();
        for (number, plan) in config.plans().into_iter().enumerate() {
            let worker = worker::Worker {
                plan,
                url: config.url.clone(),
                limits: config.limits,
                credentials: credentials.clone(),
                queue: queue.clone(),
                connections: Arc::clone(&connections),
                handover: Arc::clone(&handover),
                stats: Arc::clone(&stats),
                stop: stop.clone(),
                stagger: config.limits.stagger.saturating_mul(u32::try_from(number).unwrap_or(0)),
            };
            workers.spawn(worker.run());
        }
        // The workers hold the only ends of the queue, so that it closes with the last of them.
        drop(queue);

        let ended = supervise(&mut workers, &logger, shutdown, &stop).await;
        let written = logger.join().await;
        let written = match (ended, written) {
            (_, Err(broken)) => return Err(broken.with_lost(stats.lost())),
            (Err(ended), Ok(_)) => return Err(ended),
            (Ok(()), Ok(written)) => written,
        };
        let summary = stats.summary(session, written, &config);
        if summary.connections == 0 {
            return Err(Error::NeverConnected { cause: stats.last_refusal() });
        }
        Ok(summary)
    }
}

/// Waits for the signal, the first failed worker or the end of the logger; then stops the rest and
/// waits for all of them.
async fn supervise(
    workers: &mut JoinSet<Result<(), Error>>,
    logger: &writer::Logger,
    shutdown: impl Future<Output = ()>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut first_error = None;
    tokio::pin!(shutdown);
    // A worker may end well before the others, when these have taken its markets over.
    while first_error.is_none() && !workers.is_empty() {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = logger.ended() => break,
            ended = workers.join_next() => note(ended, &mut first_error),
        }
    }
    stop.cancel();
    while let Some(ended) = workers.join_next().await {
        note(Some(ended), &mut first_error);
    }
    first_error.map_or(Ok(()), Err)
}

fn note(
    ended: Option<Result<Result<(), Error>, tokio::task::JoinError>>,
    first_error: &mut Option<Error>,
) {
    let error = match ended {
        Some(Ok(Err(error))) => error,
        Some(Err(panic)) => Error::Worker(panic),
        Some(Ok(Ok(()))) | None => return,
    };
    first_error.get_or_insert(error);
}
