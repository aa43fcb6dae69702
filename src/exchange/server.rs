//! The exchange as a program: a listener, the passing of time, and the tasks they need.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
use tokio_util::sync::CancellationToken;

use super::{
    auth, connection,
    fault::{Fault, Reception},
    floor::{ClientCommand, Floor},
    key::{KeyKind, Keys},
    recording::Encoded,
    request::{self, Request},
    rest,
    truth::Checkpoint,
    world::WorldConfig,
};

const WS_PATH: &str = "/trade-api/ws/v2";
const TICK: Duration = Duration::from_millis(2);

/// How an [`Exchange`] is set up.
#[derive(Debug, Clone)]
pub struct ExchangeConfig {
    /// The loopback port; 0 takes any free one.
    pub port: u16,
    /// Determines every market, together with its ticker.
    pub seed: u64,
    /// Messages per second over all markets that anybody has asked for.
    pub rate: u32,
    /// Whose signatures are accepted.
    pub key: KeyKind,
    /// What is served.
    pub source: Source,
    /// What goes wrong: a script in any order.
    pub faults: Vec<Fault>,
    /// How long a market trades before it closes; `None` is for ever.
    pub market_life: Option<RangeInclusive<Duration>>,
    /// How long after a market's close its empty snapshots come.
    pub empty_after: RangeInclusive<Duration>,
    /// Frames that may wait for one connection's socket before error 25 ends a subscription.
    pub outbox_frames: usize,
    /// Connections that one account may have at a time; more are answered with 429.
    pub connections_max: usize,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        let world = WorldConfig::default();
        Self {
            port: 0,
            seed: world.seed,
            rate: world.rate,
            key: KeyKind::default(),
            source: Source::Synthetic,
            faults: Vec::new(),
            market_life: world.market_life,
            empty_after: world.empty_after,
            outbox_frames: 100_000,
            connections_max: 200,
        }
    }
}

/// What an [`Exchange`] serves.
#[derive(Debug, Clone)]
pub enum Source {
    /// Made-up markets; commands are answered as the exchange answers them.
    Synthetic,
    /// Frames to send verbatim: the k-th list to the k-th connection, after its first
    /// `subscribe`, as fast as the socket takes them. Nothing else is said but pings.
    Recording(Vec<Vec<String>>),
}

/// A running exchange. Dropping it ends its tasks at once; [`Exchange::stop`] waits for them.
pub struct Exchange {
    address: SocketAddr,
    keys: Arc<Keys>,
    floor: Arc<Floor>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Exchange {
    /// Binds to loopback and starts.
    ///
    /// # Errors
    /// When the port is taken, or no key can be made of [`ExchangeConfig::key`].
    pub async fn start(config: ExchangeConfig) -> io::Result<Self> {
        let keys = Keys::make(&config.key);
        let keys = Arc::new(keys.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
        let world = WorldConfig {
            seed: config.seed,
            rate: config.rate,
            market_life: config.market_life,
            empty_after: config.empty_after,
        };
        let floor = Floor::new(world, config.faults, config.outbox_frames, now_us());
        let places = Arc::new(Semaphore::new(config.connections_max));
        let recording = match config.source {
            Source::Synthetic => None,
            Source::Recording(lists) => {
                Some(Arc::new(lists.into_iter().map(|l| Arc::new(Encoded::new(l))).collect()))
            }
        };
        let (floor, stop) = (Arc::new(floor), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let address = listener.local_addr()?;
        if recording.is_none() {
            tasks.spawn(pass_time(Arc::clone(&floor), stop.clone()));
        }
        let (keys_, floor_, stop_) = (Arc::clone(&keys), Arc::clone(&floor), stop.clone());
        let door = Door { keys: keys_, floor: floor_, places, recording, stop: stop_ };
        tasks.spawn(accept(listener, door));
        Ok(Self { address, keys, floor, stop, tasks })
    }

    /// Where a client connects.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}{WS_PATH}", self.address)
    }

    /// The root of the REST interface.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}/trade-api/v2", self.address)
    }

    /// The id of the one key that is accepted.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.keys.key_id
    }

    /// The private key in PEM; `None` when only a public key was given.
    #[must_use]
    pub fn private_key_pem(&self) -> Option<&str> {
        self.keys.private_pem.as_deref()
    }

    /// How many clients have been let in.
    #[must_use]
    pub fn connections_opened(&self) -> u32 {
        self.floor.connections_opened()
    }

    /// How many upgrade requests have come, those that were not let in included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.floor.attempts()
    }

    /// The texts that clients have sent, in order; the first 100,000 of them.
    #[must_use]
    pub fn commands(&self) -> Vec<ClientCommand> {
        self.floor.commands()
    }

    /// The true books and the position of every stream, taken together.
    ///
    /// The positions are of frames queued for the socket: wait until they have arrived.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.floor.checkpoint()
    }

    /// Changes the number of messages per second; 0 makes the markets quiet.
    pub fn set_rate(&self, rate: u32) {
        self.floor.set_rate(rate);
    }

    /// Closes a market, with all that follows.
    pub fn close_market(&self, ticker: &str) {
        self.floor.close(ticker);
    }

    /// Says goodbye to all clients and waits until every task has ended.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            note(ended);
        }
    }
}

/// The environment variables by which a client finds and enters the exchange.
#[must_use]
pub fn environment(exchange: &Exchange) -> Vec<(String, String)> {
    let mut variables = vec![
        ("KALSHI_WS_URL".to_owned(), exchange.ws_url()),
        ("KALSHI_API_URL".to_owned(), exchange.api_url()),
        ("KALSHI_KEY_ID".to_owned(), exchange.key_id().to_owned()),
    ];
    if let Some(pem) = exchange.private_key_pem() {
        let line = pem.trim_end().replace('\n', "\\n");
        variables.push(("KALSHI_PRIVATE_KEY".to_owned(), line));
    }
    variables
}

/// What it takes to let a client in.
#[derive(Clone)]
struct Door {
    keys: Arc<Keys>,
    floor: Arc<Floor>,
    places: Arc<Semaphore>,
    recording: Option<Arc<Vec<Arc<Encoded>>>>,
    stop: CancellationToken,
}

async fn accept(listener: TcpListener, door: Door) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = door.stop.cancelled() => break,
            Some(ended) = clients.join_next() => note(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { clients.spawn(door.clone().serve(stream)); }
                Err(error) => tracing::warn!(%error, "accept a client"),
            },
        }
    }
    while let Some(ended) = clients.join_next().await {
        note(ended);
    }
}

async fn pass_time(floor: Arc<Floor>, stop: CancellationToken) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => floor.advance(now_us()),
        }
    }
}

/// An accepted client, and the connection of its account that it takes.
type Entered = (WebSocketStream<TcpStream>, OwnedSemaphorePermit);

impl Door {
    async fn serve(self, stream: TcpStream) {
        let stop = self.stop.clone();
        let entered = tokio::select! {
            entered = self.enter(stream) => entered,
            () = stop.cancelled() => return,
        };
        match entered {
            Ok(Some((socket, _place))) => self.seat(socket).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a client did not get in"),
        }
    }

    /// Answers plain requests; lets upgrades in that are signed.
    async fn enter(&self, mut stream: TcpStream) -> io::Result<Option<Entered>> {
        stream.set_nodelay(true)?;
        let request = Request::read(&mut stream).await?;
        let clock_us = self.floor.clock_us(now_us());
        if !request.is_upgrade() {
            let reply = |world: &mut _| rest::answer(world, request.path(), request.query());
            let (status, body) = self.floor.with_world(reply);
            request::answer(&mut stream, status, &body, clock_us).await?;
            return Ok(None);
        }
        match self.floor.reception() {
            None => {}
            Some(Reception::Refuse(status)) => {
                let body = r#"{"error":"refused by script"}"#;
                request::answer(&mut stream, status, body, clock_us).await?;
                return Ok(None);
            }
            Some(Reception::HangUp) => return Ok(None),
            Some(Reception::Silence) => {
                connection::swallow(&mut stream).await;
                return Ok(None);
            }
        }
        if request.path() != WS_PATH {
            request::answer(&mut stream, 404, r#"{"error":"not found"}"#, clock_us).await?;
            return Ok(None);
        }
        let (key_id, key) = (&self.keys.key_id, &self.keys.public);
        let now_ms = clock_us / 1_000;
        if let Err(fault) = auth::check(request.signed(), request.path(), key_id, key, now_ms) {
            request::answer(&mut stream, 401, fault.body(), clock_us).await?;
            return Ok(None);
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let body = r#"{"error":"too many requests"}"#;
            request::answer(&mut stream, 429, body, clock_us).await?;
            return Ok(None);
        };
        if !request.upgrade(&mut stream, clock_us).await? {
            return Ok(None);
        }
        let socket =
            WebSocketStream::from_partially_read(stream, request.rest, Role::Server, None).await;
        Ok(Some((socket, place)))
    }

    async fn seat(self, socket: WebSocketStream<TcpStream>) {
        let admission = self.floor.admit(now_us());
        match self.recording {
            None => connection::trade(socket, self.floor, admission, self.stop).await,
            Some(lists) => {
                let place =
                    usize::try_from(admission.connection).ok().and_then(|k| k.checked_sub(1));
                let frames = place.and_then(|place| lists.get(place)).cloned();
                connection::replay(socket, self.floor, admission, frames, self.stop).await;
            }
        }
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task of the exchange failed");
    }
}

/// The exchange's clock, µs since the epoch.
pub(super) fn now_us() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the edge: time is an argument to all the rest")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
