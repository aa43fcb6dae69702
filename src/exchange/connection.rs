//! One client's socket.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message},
};
use tokio_util::sync::CancellationToken;

use super::{
    fault::Outgoing,
    floor::{Admission, Floor},
    recording::Encoded,
    server::now_us,
};

const PING_EVERY: Duration = Duration::from_secs(10);
const PING: &[u8] = b"heartbeat";
/// A client gets this long to take the last frames when a connection ends.
const FAREWELL: Duration = Duration::from_secs(1);
const BATCH_FRAMES: usize = 1_024;

type Socket = WebSocketStream<TcpStream>;

/// Serves the synthetic market until the client leaves, the script cuts, or the exchange stops.
pub(super) async fn trade(
    socket: Socket,
    floor: Arc<Floor>,
    admission: Admission,
    stop: CancellationToken,
) {
    let Admission { connection, outbox, .. } = admission;
    let heard = |text: &str| floor.command(connection, text, now_us());
    converse(socket, outbox, heard, stop).await;
    floor.leave(connection);
}

/// Serves recorded frames once the client has subscribed, then stays.
pub(super) async fn replay(
    mut socket: Socket,
    floor: Arc<Floor>,
    admission: Admission,
    frames: Option<Arc<Encoded>>,
    stop: CancellationToken,
) {
    let Admission { connection, outbox, cut_after } = admission;
    let log = |text: &str| floor.log(connection, text);
    let played = tokio::select! {
        played = play(&mut socket, frames.as_deref(), cut_after, log) => played.is_ok(),
        () = stop.cancelled() => false,
    };
    if played && cut_after.is_none() {
        converse(socket, outbox, log, stop).await;
    } else {
        hang_up(socket).await;
    }
    floor.leave(connection);
}

async fn play(
    socket: &mut Socket,
    frames: Option<&Encoded>,
    limit: Option<u64>,
    log: impl Fn(&str),
) -> Result<(), Error> {
    while let Some(text) = next_text(socket).await {
        log(&text);
        if text.contains(r#""subscribe""#) {
            break;
        }
    }
    for chunk in frames.iter().flat_map(|frames| frames.chunks(limit)) {
        // Nothing of ours is in the socket's own buffer: what it answers is flushed below.
        socket.get_mut().write_all(chunk).await.map_err(Error::Io)?;
        while let Some(Some(message)) = socket.next().now_or_never() {
            if let Message::Text(text) = message? {
                log(&text);
            }
        }
        socket.flush().await?;
    }
    Ok(())
}

/// Reads and writes side by side: a client that is slow to read may still ask.
async fn converse(
    socket: Socket,
    outbox: mpsc::Receiver<Outgoing>,
    heard: impl FnMut(&str),
    stop: CancellationToken,
) {
    let (mut sink, mut stream) = socket.split();
    let overdue = async {
        stop.cancelled().await;
        sleep(FAREWELL).await;
    };
    tokio::select! {
        written = write(&mut sink, outbox, &stop) => if let Err(error) = written {
            tracing::debug!(%error, "the client is gone");
        },
        () = listen(&mut stream, heard) => {}
        () = overdue => {}
    }
    if let Ok(socket) = sink.reunite(stream) {
        hang_up(socket).await;
    }
}

/// Ends the connection so that what was sent still arrives: closing a socket with unread input
/// would reset it and lose that.
async fn hang_up(mut socket: Socket) {
    let stream = socket.get_mut();
    let farewell = async {
        let mut scrap = [0; 4_096];
        if stream.shutdown().await.is_ok() {
            while stream.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
        }
    };
    // A client that does not hang up in turn is left.
    drop(timeout(FAREWELL, farewell).await);
}

async fn next_text(socket: &mut Socket) -> Option<String> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => return Some(text.to_string()),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// Hands each text of the client to `heard` until the client leaves.
async fn listen(
    stream: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    mut heard: impl FnMut(&str),
) {
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Text(text) = message {
            heard(&text);
        }
    }
}

/// Writes what is queued in batches, and pings, until told to hang up.
async fn write(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    mut outbox: mpsc::Receiver<Outgoing>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH_FRAMES);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return sink.send(Message::Close(None)).await,
            _ = pings.tick() => sink.send(Message::Ping(PING.into())).await?,
            count = outbox.recv_many(&mut batch, BATCH_FRAMES) => {
                if count == 0 {
                    return Ok(());
                }
                for outgoing in batch.drain(..) {
                    match outgoing {
                        Outgoing::Text(text) => sink.feed(Message::text(text)).await?,
                        Outgoing::Cut => return sink.flush().await,
                    }
                }
                sink.flush().await?;
            }
        }
    }
}
