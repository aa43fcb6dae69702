//! One client's socket.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    fault::Payload,
    floor::{Admission, Floor},
    gate::Outgoing,
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

/// What is on its way to a client.
struct Post {
    outbox: mpsc::Receiver<Outgoing>,
    batch: VecDeque<Outgoing>,
}

/// Why reading and writing side by side comes to an end, perhaps only for a moment.
enum Turn {
    Over,
    Split(String, Duration),
    Close(u16),
    Mute,
    Deafen,
}

/// Reads and writes side by side: a client that is slow to read may still ask.
async fn converse(
    mut socket: Socket,
    outbox: mpsc::Receiver<Outgoing>,
    mut heard: impl FnMut(&str),
    stop: CancellationToken,
) {
    let mut post = Post { outbox, batch: VecDeque::with_capacity(BATCH_FRAMES) };
    loop {
        let (mut sink, mut stream) = socket.split();
        let overdue = async {
            stop.cancelled().await;
            sleep(FAREWELL).await;
        };
        let turn = tokio::select! {
            written = post.write(&mut sink, &stop) => written.unwrap_or_else(|error| {
                tracing::debug!(%error, "the client is gone");
                Turn::Over
            }),
            () = listen(&mut stream, &mut heard) => Turn::Over,
            () = overdue => Turn::Over,
        };
        let Ok(whole) = sink.reunite(stream) else { return };
        socket = whole;
        match turn {
            Turn::Over => break,
            Turn::Split(text, pause) => {
                let done = tokio::select! {
                    done = split(&mut socket, text, pause) => done,
                    () = stop.cancelled() => break,
                };
                if let Err(error) = done {
                    tracing::debug!(%error, "the client is gone");
                    break;
                }
            }
            Turn::Close(code) => {
                let frame = CloseFrame { code: code.into(), reason: "by script".into() };
                match timeout(FAREWELL, socket.close(Some(frame))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "the client is gone"),
                    Err(_) => tracing::debug!("the client does not take the close frame"),
                }
                break;
            }
            Turn::Mute => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = swallow(socket.get_mut()) => {}
                }
                return;
            }
            Turn::Deafen => return stop.cancelled().await,
        }
    }
    hang_up(socket).await;
}

/// Writes a frame in two halves.
async fn split(socket: &mut Socket, text: String, pause: Duration) -> Result<(), Error> {
    let encoded = Encoded::new(vec![text]);
    let stream = socket.get_mut();
    for bytes in encoded.chunks(None) {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        stream.write_all(first).await?;
        sleep(pause).await;
        stream.write_all(second).await?;
    }
    Ok(())
}

/// Reads and says nothing until the client leaves.
pub(super) async fn swallow(stream: &mut TcpStream) {
    let mut scrap = [0; 4_096];
    while stream.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
}

/// Ends the connection so that what was sent still arrives: closing a socket with unread input
/// would reset it and lose that.
async fn hang_up(mut socket: Socket) {
    let stream = socket.get_mut();
    let farewell = async {
        if stream.shutdown().await.is_ok() {
            swallow(stream).await;
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

impl Post {
    /// Writes what is queued in batches, and pings, until told to do something else.
    async fn write(
        &mut self,
        sink: &mut (impl Sink<Message, Error = Error> + Unpin),
        stop: &CancellationToken,
    ) -> Result<Turn, Error> {
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::with_capacity(BATCH_FRAMES);
        loop {
            while let Some(outgoing) = self.batch.pop_front() {
                let turn = match outgoing {
                    Outgoing::Text(text) => {
                        sink.feed(Message::text(text)).await?;
                        continue;
                    }
                    Outgoing::Fragment(text) => {
                        for part in fragments(text) {
                            sink.feed(part).await?;
                        }
                        continue;
                    }
                    Outgoing::Say(payload) => {
                        sink.feed(unexpected(payload)).await?;
                        continue;
                    }
                    Outgoing::Pause(time) => {
                        sink.flush().await?;
                        sleep(time).await;
                        continue;
                    }
                    Outgoing::Split(text, pause) => Turn::Split(text, pause),
                    Outgoing::Cut => Turn::Over,
                    Outgoing::Close(code) => Turn::Close(code),
                    Outgoing::Mute => Turn::Mute,
                    Outgoing::Deafen => Turn::Deafen,
                };
                sink.flush().await?;
                return Ok(turn);
            }
            sink.flush().await?;
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    sink.send(Message::Close(None)).await?;
                    return Ok(Turn::Over);
                }
                _ = pings.tick() => sink.send(Message::Ping(PING.into())).await?,
                count = self.outbox.recv_many(&mut taken, BATCH_FRAMES) => {
                    if count == 0 {
                        return Ok(Turn::Over);
                    }
                    self.batch.extend(taken.drain(..));
                }
            }
        }
    }
}

/// A text message in two frames, cut where no character need end.
fn fragments(text: String) -> [Message; 2] {
    let mut first = text.into_bytes();
    let second = first.split_off(first.len() / 2);
    [
        Message::Frame(Frame::message(first, OpCode::Data(Data::Text), false)),
        Message::Frame(Frame::message(second, OpCode::Data(Data::Continue), true)),
    ]
}

fn unexpected(payload: Payload) -> Message {
    const NOT_UTF8: &[u8] = b"\x80\xff\xfe not UTF-8";
    match payload {
        Payload::Garbage => Message::text("<html>no JSON</html>\n"),
        Payload::NotUtf8 => {
            Message::Frame(Frame::message(NOT_UTF8, OpCode::Data(Data::Text), true))
        }
        Payload::Binary => Message::binary(NOT_UTF8),
        Payload::Unknown => Message::text("{\"type\":\"brand_new\",\"msg\":[{\"x\":1}]}\n"),
        Payload::Long(bytes) => {
            let (start, end) = (r#"{"type":"long","msg":""#, "\"}\n");
            let pad = "x".repeat(bytes.saturating_sub(start.len() + end.len()));
            Message::text(format!("{start}{pad}{end}"))
        }
    }
}
