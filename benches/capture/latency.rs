//! How long after its receipt a frame can be read from the file.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use kalshi_orderbook::tape::{Archive, Body, Record};

use super::{
    child, client,
    server::{self, Layout},
};

const PER_SECOND: u64 = 20_000;
const PACE: Duration = Duration::from_millis(1);
/// The recorder's flush interval, and what it may take beyond.
const FLUSH_MS: f64 = 100.0;
const GRACE_MS: f64 = 10.0;

pub(crate) fn run(layout: Layout, seconds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/trade-api/ws/v2", listener.local_addr().unwrap());
    let mut recorder =
        client::kalshi(&url, folder.path(), &["KXBENCH-26NOV22-T1"]).spawn().unwrap();
    let mut socket = server::accept(&listener, &mut recorder);

    let messages = usize::try_from(PER_SECOND * seconds).unwrap();
    let stream = server::frames(messages, layout);
    let path = folder.path().to_owned();
    let watcher = std::thread::spawn(move || watch(&path, messages));
    let start = Instant::now();
    let chunk = stream.len() / usize::try_from(seconds * 1_000).unwrap();
    for (number, frames) in stream.chunks(chunk).enumerate() {
        let due = PACE * u32::try_from(number).unwrap();
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        socket.get_mut().write_all(frames).unwrap();
    }
    let mut delays_ms = watcher.join().unwrap();
    child::stop(&recorder);
    server::see_off(socket);
    child::wait(&mut recorder);

    delays_ms.sort_by(f64::total_cmp);
    let at = |per_mille: usize| delays_ms[(delays_ms.len() - 1) * per_mille / 1_000];
    println!("{} frames at {PER_SECOND}/s, from receipt to readable in the file:", delays_ms.len());
    println!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", at(500), at(990), at(1_000));
    let bar = FLUSH_MS + GRACE_MS;
    println!("bar: p99 under {bar:.0} ms: {}", if at(990) < bar { "met" } else { "MISSED" });
}

/// Reads the file as it grows, looking every millisecond; each frame's delay in ms.
fn watch(folder: &std::path::Path, messages: usize) -> Vec<f64> {
    let mut file = File::open(first_segment(folder)).unwrap();
    let (mut text, mut delays) = (Vec::new(), Vec::with_capacity(messages));
    while delays.len() < messages {
        file.read_to_end(&mut text).unwrap();
        let now_ns = jiff::Timestamp::now().as_nanosecond() as i64;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record = Record::parse(line).unwrap();
            if let (Body::Frame(_), Some(recv_ns)) = (record.body, record.recv_ns) {
                delays.push((now_ns - recv_ns) as f64 / 1e6);
            }
        }
        text.drain(..whole);
        std::thread::sleep(PACE);
    }
    delays
}

fn first_segment(folder: &std::path::Path) -> PathBuf {
    loop {
        let archive = Archive::open(folder).unwrap();
        if let Some(segment) = archive.segments.first() {
            return segment.path.clone();
        }
        std::thread::sleep(PACE);
    }
}
