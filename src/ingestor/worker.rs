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
use crate::protocol::{Channel, Credentials, Ticker};
use crate::tape::{Event, write_event};

/// So many refusals of a key in a row, after it worked before, are final.
const KEY_REFUSALS_MAX: u32 = 20;
/// So many refusals in a row for the number of connections, while others are open, and those take
/// the markets over.
const CAP_REFUSALS_MAX: u32 = 3;
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

impl Worker {
    /// Records until stopped, over as many connections as it takes.
    pub(super) async fn run(self) -> Result<(), Error> {
        self.note(&planned(&self.plan.markets)).await?;
        let mut plan = self.plan.clone();
        let (mut refusals, mut capped) = (0, 0);
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
                    (refusals, capped) = (0, 0);
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
                    refusals += 1;
                    capped = if refusal.is_cap() { capped + 1 } else { 0 };
                    self.refused(refusal, refusals).await?;
                    if capped >= CAP_REFUSALS_MAX && self.stats.live() > 0 {
                        self.give_up_markets(&mut plan).await?;
                        if plan.channels.iter().all(Channel::takes_markets) {
                            return Ok(());
                        }
                    }
                }
            }
            wait = backoff.next();
            tracing::info!(
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(0),
                "connecting again"
            );
        }
    }

    /// A key that never worked will not work; one that did is given some time, as a deployment or a
    /// gateway may answer for the exchange.
    async fn refused(&self, refusal: Refusal, in_a_row: u32) -> Result<(), Error> {
        let cause = match refusal {
            Refusal::Key { status, reason, clock_skew_ms } => {
                let accepted = self.stats.connections.load(Relaxed) > 0;
                if !accepted || in_a_row >= KEY_REFUSALS_MAX {
                    return Err(Error::Refused { status, reason, clock_skew_ms });
                }
                format!("HTTP {status}: {reason}")
            }
            Refusal::Later { status: Some(429), reason } => {
                format!("HTTP 429, too many connections of this account: {reason}")
            }
            Refusal::Later { status: Some(status), reason } => format!("HTTP {status}: {reason}"),
            Refusal::Later { status: None, reason } => reason,
        };
        tracing::warn!(cause, "no connection");
        self.stats.set_refusal(&cause);
        self.note(&Event::NotConnected { cause: cause.into() }).await
    }

    /// The exchange allows no more connections: those that are open take the markets over.
    async fn give_up_markets(&self, plan: &mut Plan) -> Result<(), Error> {
        let markets = std::mem::take(&mut plan.markets);
        if markets.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            markets = markets.len(),
            "the account's limit of connections is reached: the open ones take these markets over"
        );
        let cause = "at the limit of connections; the others take the markets over";
        self.note(&Event::NotConnected { cause: cause.into() }).await?;
        self.handover.give(markets);
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
