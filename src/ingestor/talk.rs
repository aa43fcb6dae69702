//! One connection from its start to its end: frames to ready lines, decisions to deeds.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::FutureExt;
use tokio::time::{sleep_until, timeout_at};
use tokio_tungstenite::tungstenite::{self, Message};

use super::{
    Error,
    clock::Clock,
    connection::{Connection, chain},
    kinds::Kinds,
    queue::Batch,
    session::{Action, Plan, Session},
    worker::{Worker, planned},
};
use crate::protocol::Header;
use crate::tape::{Event, write_event, write_frame};

/// How often time passes for the session while nothing comes in.
const TICK: Duration = Duration::from_millis(100);
/// How often the clock is compared with the wall clock.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// A batch is handed over when it holds this much, even if more is waiting in the socket.
const BATCH_BYTES: usize = 128 << 10;
/// The most markets taken over in one [`TICK`], so that all connections share in them.
const TAKEN_OVER_MAX: usize = 20;
/// The longest a goodbye or a command may take.
const SEND_LIMIT: Duration = Duration::from_secs(10);
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// How a connection ended.
pub(super) enum End {
    Stopped,
    Lost(String),
    Refused(String),
}

/// One connection from its start to its end.
pub(super) struct Talk<'w> {
    worker: &'w Worker,
    pub(super) plan: Plan,
    conn: u32,
    clock: Clock,
    pub(super) session: Session,
    actions: Vec<Action>,
    batch: Batch,
    /// How long the reading has been held up.
    held_up: Duration,
    kinds: Kinds,
}

impl<'w> Talk<'w> {
    pub(super) fn start(worker: &'w Worker, plan: Plan) -> Self {
        let session = Session::new(&plan, worker.limits, Instant::now());
        Self {
            worker,
            plan,
            conn: worker.connections.fetch_add(1, Relaxed) + 1,
            clock: Clock::start(),
            session,
            actions: Vec::new(),
            batch: worker.queue.empty(),
            held_up: Duration::ZERO,
            kinds: Kinds::default(),
        }
    }

    pub(super) async fn run(&mut self, mut connection: Connection) -> Result<End, Error> {
        let stats = &self.worker.stats;
        stats.connections.fetch_add(1, Relaxed);
        let url = self.worker.url.without_query().to_owned().into();
        let markets = self.plan.markets.len();
        self.event(&Event::Connected { url, markets }, connection.time());
        tracing::info!(conn = self.conn, markets, "connected");
        self.session.tick(self.now(), &mut self.actions);

        let end = self.converse(&mut connection).await?;
        let cause = match &end {
            End::Stopped => "stopped",
            End::Lost(cause) => {
                stats.losses.fetch_add(1, Relaxed);
                cause
            }
            End::Refused(reason) => reason,
        };
        self.event(&Event::Disconnected { cause: cause.to_owned().into() }, Instant::now());
        self.pass_on(&connection).await?;
        // Once more, for a stall that this was.
        self.pass_on(&connection).await?;
        stats.add_kinds(&self.kinds);
        Ok(end)
    }

    /// The session's time, which stands still while the reading is held up: answers that wait in the
    /// socket meanwhile are not overdue.
    fn now(&self) -> Instant {
        let now = Instant::now();
        now.checked_sub(self.held_up).unwrap_or(now)
    }

    /// Reads, acts and hands over until the connection ends or is told to.
    async fn converse(&mut self, connection: &mut Connection) -> Result<End, Error> {
        let mut clock_check = self.now() + CLOCK_CHECK;
        let mut next_take_over = self.now();
        loop {
            if let Some(end) = self.act(connection).await? {
                return Ok(end);
            }
            self.pass_on(connection).await?;
            let message = tokio::select! {
                biased;
                () = self.worker.stop.cancelled() => {
                    self.drain(connection).await?;
                    return Ok(End::Stopped);
                }
                message = connection.next() => Some(message),
                () = sleep_until((Instant::now() + TICK).into()) => None,
            };
            let now = self.now();
            if let Some(message) = message {
                if let Some(end) = self.take(message, connection.arrived(), now) {
                    return Ok(end);
                }
                if let Some(end) = self.take_ready(connection, now) {
                    return Ok(end);
                }
            }
            if now >= next_take_over {
                next_take_over = now + TICK;
                self.take_over(connection);
            }
            self.session.tick(now, &mut self.actions);
            if now >= clock_check {
                clock_check = now + CLOCK_CHECK;
                if let Some(step_ns) = self.clock.check() {
                    tracing::warn!(step_ns, "the wall clock was set");
                    self.event(&Event::Clock { step_ns }, connection.time());
                }
            }
        }
    }

    /// Makes its own what a connection was for that is not allowed.
    fn take_over(&mut self, connection: &Connection) {
        let more = self.worker.handover.take(TAKEN_OVER_MAX);
        if more.is_empty() {
            return;
        }
        let Plan { markets, channels } = &more;
        tracing::info!(conn = self.conn, markets = markets.len(), ?channels, "taken over");
        self.event(&planned(markets), connection.time());
        self.session.adopt(&more);
        self.plan.extend(more);
    }

    /// Takes what the socket holds already, up to a full batch.
    fn take_ready(&mut self, connection: &mut Connection, now: Instant) -> Option<End> {
        let most = self.worker.queue.batch_messages();
        while self.batch.messages < most
            && self.batch.bytes.len() < BATCH_BYTES
            && self.actions.is_empty()
        {
            let message = connection.next().now_or_never()?;
            let end = self.take(message, connection.arrived(), now);
            if end.is_some() {
                return end;
            }
        }
        None
    }

    /// A wanted end: says goodbye, and keeps what was on its way until the exchange answers.
    async fn drain(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + CLOSE_LIMIT;
        connection.say_goodbye(CLOSE_LIMIT).await;
        while let Ok(message) = timeout_at(deadline, connection.next()).await {
            let (arrived, now) = (connection.arrived(), self.now());
            if self.take(message, arrived, now).is_some()
                || self.take_ready(connection, now).is_some()
            {
                break;
            }
            self.actions.clear();
            self.pass_on(connection).await?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        message: Option<Result<Message, tungstenite::Error>>,
        arrived: Instant,
        now: Instant,
    ) -> Option<End> {
        self.session.alive(now);
        match message {
            Some(Ok(Message::Text(text))) => self.text(&text, arrived, now),
            Some(Ok(Message::Binary(bytes))) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.text(text, arrived, now),
                Err(_) => self.bad_frame(None, Some(&bytes), "binary, not UTF-8", arrived),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(close))) => {
                let cause = close.map_or_else(
                    || "closed by the exchange".to_owned(),
                    |close| format!("closed by the exchange: {} {}", close.code, close.reason),
                );
                return Some(End::Lost(cause));
            }
            Some(Err(error)) => {
                if let tungstenite::Error::Utf8(_) = error {
                    // The library gives no more of it, and the stream cannot be read on.
                    self.bad_frame(None, None, "a text message that is not UTF-8", arrived);
                }
                return Some(End::Lost(chain(&error)));
            }
            None => return Some(End::Lost("the stream ended".to_owned())),
        }
        None
    }

    fn text(&mut self, text: &str, arrived: Instant, now: Instant) {
        tracing::debug!(target: "kalshi::frame", conn = self.conn, "{}", text.trim_ascii());
        let header = match Header::parse(text) {
            Ok(header) => header,
            Err(error) => return self.bad_frame(Some(text), None, &chain(&error), arrived),
        };
        self.session.frame(&header, arrived, now, &mut self.actions);
        // A hole lies before the frame that shows it, and so does its record.
        self.record_events(arrived);
        let recv_ns = self.clock.ns(arrived);
        write_frame(&mut self.batch.bytes, recv_ns, self.conn, text);
        self.batch.lines += 1;
        self.batch.frames += 1;
        self.batch.messages += 1;
        self.kinds.add(header.kind(), 1);
    }

    fn bad_frame(
        &mut self,
        text: Option<&str>,
        bytes: Option<&[u8]>,
        reason: &str,
        arrived: Instant,
    ) {
        tracing::warn!(conn = self.conn, reason, "a frame that is no JSON");
        let event = Event::BadFrame {
            text: text.map(|text| text.to_owned().into()),
            base64: bytes.map(|bytes| BASE64_STANDARD.encode(bytes).into()),
            reason: reason.to_owned().into(),
        };
        self.event(&event, arrived);
        self.batch.messages += 1;
        self.batch.rejected += 1;
    }

    fn event(&mut self, event: &Event<'_>, time: Instant) {
        let recv_ns = self.clock.ns(time);
        write_event(&mut self.batch.bytes, recv_ns, Some(self.conn), event);
        self.batch.lines += 1;
    }

    /// Writes the events among the actions and leaves the rest for [`Self::act`].
    fn record_events(&mut self, time: Instant) {
        if self.actions.is_empty() {
            return;
        }
        for action in std::mem::take(&mut self.actions) {
            let Action::Record(event) = action else {
                self.actions.push(action);
                continue;
            };
            self.count(&event);
            self.event(&event, time);
        }
    }

    fn count(&self, event: &Event<'_>) {
        let stats = &self.worker.stats;
        if let Event::Gap { sid, expected, got } = event {
            tracing::warn!(conn = self.conn, sid, expected, got, "messages are missing");
            stats.gaps.fetch_add(1, Relaxed);
            stats.missing.fetch_add(got.saturating_sub(*expected), Relaxed);
        } else if let Event::Repeat { .. } = event {
            stats.repeats.fetch_add(1, Relaxed);
        } else if let Event::UnknownMarket { ticker } = event {
            tracing::warn!(%ticker, "the exchange does not know this market");
            stats.add_unknown_market(ticker);
        } else if let Event::RefusedMarket { ticker, channel, reason } = event {
            tracing::warn!(%ticker, %channel, %reason, "the exchange refuses this market");
        } else if let Event::Dark { markets, first } = event {
            tracing::warn!(markets, %first, "no snapshot yet: asked again");
        } else if let Event::Lagging { behind_ms } = event {
            tracing::warn!(conn = self.conn, behind_ms, "frames come late");
        } else if let Event::CaughtUp { behind_ms } = event {
            tracing::info!(conn = self.conn, behind_ms, "frames come in time again");
        }
    }

    /// Carries out what the session decided.
    async fn act(&mut self, connection: &mut Connection) -> Result<Option<End>, Error> {
        self.record_events(connection.time());
        for action in std::mem::take(&mut self.actions) {
            let message = match action {
                Action::Send { id, command } => {
                    let text = command.to_json(id);
                    if let Ok(command) = serde_json::value::RawValue::from_string(text.clone()) {
                        let sent = Event::Sent { command: std::borrow::Cow::Owned(command) };
                        self.event(&sent, connection.time());
                    }
                    Message::text(text)
                }
                Action::Ping => Message::Ping(tungstenite::Bytes::from_static(b"kalshi")),
                Action::Reconnect(cause) => return Ok(Some(End::Lost(cause))),
                Action::Refused(reason) => return Ok(Some(End::Refused(reason))),
                // Written by `record_events` above.
                Action::Record(_) => continue,
            };
            if let Err(error) = connection.send(message, SEND_LIMIT).await {
                return Ok(Some(End::Lost(chain(&error))));
            }
        }
        Ok(None)
    }

    /// Gives the batch to the logger; a full queue stops the reading, and that is written down.
    async fn pass_on(&mut self, connection: &Connection) -> Result<(), Error> {
        if self.batch.bytes.is_empty() {
            return Ok(());
        }
        let stats = &self.worker.stats;
        stats.received.fetch_add(u64::from(self.batch.messages), Relaxed);
        let batch = std::mem::replace(&mut self.batch, self.worker.queue.empty());
        if let Some(waited) = self.worker.queue.send(batch).await? {
            let waited_ns = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
            stats.stalled_ns.fetch_add(waited_ns, Relaxed);
            let for_ns = i64::try_from(waited_ns).unwrap_or(i64::MAX);
            self.held_up = self.held_up.saturating_add(waited);
            self.event(&Event::Stalled { for_ns }, connection.time());
        }
        Ok(())
    }
}
