//! One client's socket.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at},
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
/// A client gets this long to take the last frames when the exchange stops.
const FAREWELL: Duration = Duration::from_secs(1);
const BATCH_FRAMES: usize = 1_024;

type Socket = WebSocketStream<TcpStream>;

/// Why a connection ended, where the client did not end it.
enum End {
    Cut,
    Stopped,
}

/// Serves the synthetic market until the client leaves, the script cuts, or the exchange stops.
pub(super) async fn trade(
    socket: Socket,
    floor: Arc<Floor>,
    admission: Admission,
    stop: CancellationToken,
) {
    let Admission { connection, outbox, .. } = admission;
    let (sink, stream) = socket.split();
    // Reading and writing go on side by side: a client that is slow to read may still ask.
    let ended = tokio::select! {
        ended = write(sink, outbox, stop) => ended,
        () = listen(stream, |text| floor.command(connection, text, now_us())) => Ok(None),
    };
    floor.leave(connection);
    if let Err(error) = ended {
        tracing::debug!(connection, %error, "the client is gone");
    }
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
    let played = async {
        while let Some(text) = next_text(&mut socket).await {
            floor.log(connection, &text);
            if text.contains(r#""subscribe""#) {
                break;
            }
        }
        for chunk in frames.iter().flat_map(|frames| frames.chunks(cut_after)) {
            // Nothing of ours is in the socket's own buffer: what it answers is flushed below.
            socket.get_mut().write_all(chunk).await.map_err(Error::Io)?;
            while let Some(Some(message)) = socket.next().now_or_never() {
                if let Message::Text(text) = message? {
                    floor.log(connection, &text);
                }
            }
            socket.flush().await?;
        }
        Ok::<(), Error>(())
    };
    tokio::select! {
        played = played => if played.is_err() { floor.leave(connection); return },
        () = stop.cancelled() => { floor.leave(connection); return }
    }
    if cut_after.is_none() {
        let (sink, stream) = socket.split();
        tokio::select! {
            _ = write(sink, outbox, stop) => {}
            () = listen(stream, |text| floor.log(connection, text)) => {}
        }
    }
    floor.leave(connection);
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
    mut stream: impl Stream<Item = Result<Message, Error>> + Unpin,
    mut heard: impl FnMut(&str),
) {
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Text(text) = message {
            heard(&text);
        }
    }
}

/// Writes what is queued in batches, and pings.
async fn write(
    mut sink: impl Sink<Message, Error = Error> + Unpin,
    mut outbox: mpsc::Receiver<Outgoing>,
    stop: CancellationToken,
) -> Result<Option<End>, Error> {
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH_FRAMES);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                within(FAREWELL, sink.send(Message::Close(None))).await;
                return Ok(Some(End::Stopped));
            }
            _ = pings.tick() => sink.send(Message::Ping(PING.into())).await?,
            count = outbox.recv_many(&mut batch, BATCH_FRAMES) => {
                if count == 0 {
                    return Ok(None);
                }
                for outgoing in batch.drain(..) {
                    match outgoing {
                        Outgoing::Text(text) => sink.feed(Message::text(text)).await?,
                        Outgoing::Cut => {
                            sink.flush().await?;
                            return Ok(Some(End::Cut));
                        }
                    }
                }
                sink.flush().await?;
            }
        }
    }
}

async fn within(limit: Duration, work: impl Future) {
    // Whether the farewell arrived makes no difference.
    drop(tokio::time::timeout(limit, work).await);
}
