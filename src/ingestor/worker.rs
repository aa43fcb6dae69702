//! One task: connection after connection, for as long as the recorder runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    backoff::Backoff,
    clock::Clock,
    config::{Limits, WsUrl},
    connection::{Connection, Refusal},
    handover::Handover,
    queue::Sender,
    session::Plan,
    stats::Stats,
    talk::{End, Talk},
};
use crate::protocol::{Credentials, Ticker};
use crate::tape::{Event, write_event};

/// So many refusals of a key in a row, after it worked before, are final.
const KEY_REFUSALS_MAX: u32 = 20;
/// What a worker needs.
pub(super) struct Worker {
    pub(super) plan: Plan,
    pub(super) url: WsUrl,
    pub(super) limits: Limits,
    pub(super) credentials: Credentials,
    pub(super) queue: Sender,
    pub(super) connections: Arc<AtomicU32>,
    pub(super) handover: Arc<Handover>,
    pub(super) stats: Arc<Stats>,
    pub(super) stop: CancellationToken,
    pub(super) stagger: Duration,
}

/// The refusals of one kind since the last answer of another.
#[derive(Default)]
struct InARow {
    /// Of the key.
    key: u32,
    /// For the number of connections: since when.
    cap: Option<Instant>,
}

impl InARow {
    fn count(&mut self, refusal: &Refusal) {
        *self = match refusal {
            Refusal::Key { .. } => Self { key: self.key + 1, cap: None },
            Refusal::Later { status: Some(429), .. } => {
                Self { key: 0, cap: self.cap.or_else(|| Some(Instant::now())) }
            }
            Refusal::Later { .. } => Self::default(),
        };
    }
}

impl Worker {
    /// Records until stopped, over as many connections as it takes; or until others have taken over
    /// all that it was for.
    pub(super) async fn run(self) -> Result<(), Error> {
        self.note(&planned(&self.plan.markets)).await?;
        let mut plan = self.plan.clone();
        let mut refused = InARow::default();
        let mut backoff =
            Backoff::new(self.limits.backoff_first, self.limits.backoff_cap, fastrand::Rng::new());
        let mut wait = self.stagger;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                () = sleep(wait) => {}
            }
            let opened = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                opened = Connection::open(&self.url, &self.credentials, self.limits.connect) => opened,
            };
            match opened {
                Ok(connection) => {
                    let start = Instant::now();
                    refused = InARow::default();
                    let mut talk = Talk::start(&self, plan);
                    let ended = talk.run(connection).await;
                    self.stats.add_books(talk.session.books_seen());
                    plan = talk.plan;
                    match ended? {
                        End::Stopped => return Ok(()),
                        End::Lost(cause) => tracing::warn!(cause, "connection lost"),
                        End::Refused(reason) => return Err(Error::SessionRefused { reason }),
                    }
                    if start.elapsed() >= self.limits.healthy {
                        backoff.reset();
                    }
                }
                Err(refusal) => {
                    refused.count(&refusal);
                    let cause = self.cause(refusal, refused.key)?;
                    self.stats.set_refusal(&cause);
                    if self.is_superfluous(&refused) {
                        return self.give_up(plan, &cause).await;
                    }
                    tracing::warn!(cause, "no connection");
                    self.note(&Event::NotConnected { cause: cause.into() }).await?;
                }
            }
            wait = backoff.next();
            tracing::info!(
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(0),
                "connecting again"
            );
        }
    }

    /// The refusal in words. A key that never worked will not work; one that did is given some time,
    /// as a deployment or a gateway may answer for the exchange.
    fn cause(&self, refusal: Refusal, keys_in_a_row: u32) -> Result<String, Error> {
        Ok(match refusal {
            Refusal::Key { status, reason, clock_skew_ms } => {
                let accepted = self.stats.connections.load(Relaxed) > 0;
                if !accepted || keys_in_a_row >= KEY_REFUSALS_MAX {
                    return Err(Error::Refused { status, reason, clock_skew_ms });
                }
                format!("HTTP {status}: {reason}")
            }
            Refusal::Later { status: Some(429), reason } => {
                format!("HTTP 429, too many connections of this account: {reason}")
            }
            Refusal::Later { status: Some(status), reason } => format!("HTTP {status}: {reason}"),
            Refusal::Later { status: None, reason } => reason,
        })
    }

    /// Whether the account may not have this connection, and another one is there to take over. Not
    /// at once: after an outage the exchange counts dead connections for a while.
    fn is_superfluous(&self, refused: &InARow) -> bool {
        refused.cap.is_some_and(|since| since.elapsed() >= self.limits.cap) && self.stats.live() > 0
    }

    /// Leaves all that it was for to the open connections, for good.
    async fn give_up(&self, plan: Plan, cause: &str) -> Result<(), Error> {
        tracing::warn!(
            markets = plan.markets.len(),
            "the account's limit of connections is reached: the open ones take these markets over"
        );
        let cause = format!("{cause}; the open connections take over");
        self.note(&Event::NotConnected { cause: cause.into() }).await?;
        self.handover.give(plan);
        Ok(())
    }

    /// Writes an event that belongs to no connection.
    async fn note(&self, event: &Event<'_>) -> Result<(), Error> {
        let mut batch = self.queue.empty();
        batch.lines = 1;
        write_event(&mut batch.bytes, Clock::start().ns(Instant::now()), None, event);
        self.queue.send(batch).await.map(drop)
    }
}

pub(super) fn planned(markets: &[Ticker]) -> Event<'static> {
    let tickers: Vec<String> = markets.iter().map(ToString::to_string).collect();
    Event::Plan { tickers: tickers.into() }
}
