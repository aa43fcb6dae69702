//! A server that has every frame ready and does nothing but write them.

use std::{
    io::{self, Write},
    net::{TcpListener, TcpStream},
    process::Child,
    time::{Duration, Instant},
};

use tokio_tungstenite::tungstenite::{self, WebSocket};

pub(crate) const FRAME_BYTES: usize = 236;
const PATIENCE: Duration = Duration::from_secs(30);

/// How the keys of a frame are ordered.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Layout {
    /// As the exchange sends them: nearly all frames are read in one quick pass
    Exchange,
    /// In another order, the content the same: each frame is read in the general way
    Other,
}

/// WebSocket frames of 236 bytes with numbers from 1, ready to be written: deltas of the present
/// wire layout. The ticker is as long as the number leaves it room.
pub(crate) fn frames(messages: usize, layout: Layout) -> Vec<u8> {
    let mut stream = Vec::with_capacity(messages * (FRAME_BYTES + 4));
    for seq in 1..=messages {
        let length = FRAME_BYTES - delta(layout, seq, "").len();
        let frame = delta(layout, seq, &format!("KX{}", "0".repeat(length - 2)));
        stream.extend_from_slice(&[0x81, 126, 0, FRAME_BYTES as u8]);
        stream.extend_from_slice(frame.as_bytes());
    }
    assert_eq!(stream.len(), messages * (FRAME_BYTES + 4));
    stream
}

fn delta(layout: Layout, seq: usize, ticker: &str) -> String {
    const REST: &str = r#""price_dollars":"0.6200","delta_fp":"-2.00","side":"no","ts":"2026-11-22T05:33:45Z","ts_ms":1795358623000"#;
    let market = format!(r#""market_ticker":"{ticker}""#);
    let id = r#""market_id":"00000000-0000-4000-8000-000000000001""#;
    match layout {
        Layout::Exchange => format!(
            r#"{{"type":"orderbook_delta","sid":2,"seq":{seq},"msg":{{{market},{id},{REST}}}}}"#
        ),
        Layout::Other => format!(
            r#"{{"sid":2,"seq":{seq},"type":"orderbook_delta","msg":{{{id},{market},{REST}}}}}"#
        ),
    }
}

/// Waits for the client, unless it ends before it comes.
pub(crate) fn accept(listener: &TcpListener, client: &mut Child) -> WebSocket<TcpStream> {
    listener.set_nonblocking(true).unwrap();
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(false).unwrap();
                return tungstenite::accept(socket).unwrap();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        let ended = client.try_wait().unwrap();
        assert!(ended.is_none(), "the client ended without connecting: {ended:?}");
        assert!(start.elapsed() < PATIENCE, "the client does not connect");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Writes everything as fast as the client takes it; returns when the first byte went out.
pub(crate) fn serve(socket: &mut WebSocket<TcpStream>, stream: &[u8]) -> Instant {
    let first = Instant::now();
    socket.get_mut().write_all(stream).unwrap();
    first
}

/// Answers the client's goodbye.
pub(crate) fn see_off(mut socket: WebSocket<TcpStream>) {
    while socket.read().is_ok() {}
}
