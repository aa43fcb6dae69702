//! Messages a second and CPU seconds a million, of each client in turn.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
};

use kalshi_orderbook::{
    protocol::Header,
    tape::{Archive, Body, Record},
};

use super::{
    child,
    client::Client,
    server::{self, FRAME_BYTES, Layout},
    usage,
};

/// A close frame: 1000, all is well.
const GOODBYE: [u8; 4] = [0x88, 2, 0x03, 0xe8];

/// Millions of messages a second, and CPU seconds a million messages.
#[derive(Debug, Clone, Copy)]
struct Figure {
    rate: f64,
    cpu: f64,
}

pub(crate) fn run(clients: &[Client], layout: Layout, messages: usize, rounds: usize) {
    println!(
        "{messages} deltas of {FRAME_BYTES} bytes ({layout:?}), one connection, {rounds} rounds"
    );
    let mut runs: Vec<(Client, Vec<Figure>)> = Vec::new();
    for &client in clients {
        match client.missing() {
            None => runs.push((client, Vec::new())),
            Some(how) => println!("skipped: {} ({how})", client.name()),
        }
    }
    let mut stream = server::frames(messages, layout);
    for _ in 0..rounds {
        for (client, figures) in &mut runs {
            figures.push(measure(*client, &mut stream, messages));
        }
    }
    print(&runs);
}

/// From the first byte served until the client has ended, and so has everything on its way to disk.
fn measure(client: Client, stream: &mut Vec<u8>, messages: usize) -> Figure {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let before = usage::cpu_seconds();
    let mut process = client.start(listener.local_addr().unwrap(), messages, folder.path());
    let mut socket = server::accept(&listener, &mut process);
    let frames = stream.len();
    if !client.counts() && client != Client::Kalshi {
        stream.extend_from_slice(&GOODBYE);
    }
    let first = server::serve(&mut socket, stream);
    stream.truncate(frames);
    if client == Client::Kalshi {
        child::stop(&process);
    }
    server::see_off(socket);
    child::wait(&mut process);
    let elapsed = first.elapsed().as_secs_f64();
    let cpu = usage::cpu_seconds() - before;

    match client.file(folder.path()) {
        Some(file) => {
            let lines = BufReader::new(File::open(file).unwrap()).lines().count();
            assert_eq!(lines, messages, "{} lost messages", client.name());
        }
        None if client == Client::Kalshi => check(folder.path(), messages),
        None => {}
    }
    let millions = messages as f64 / 1e6;
    Figure { rate: millions / elapsed, cpu: cpu / millions }
}

/// Every number is on the tape once and in order.
fn check(folder: &Path, messages: usize) {
    let mut last = 0;
    for segment in Archive::open(folder).unwrap().segments {
        let mut reader = segment.open().unwrap();
        while let Some(line) = reader.next_line().unwrap() {
            let Body::Frame(frame) = Record::parse(line.bytes).unwrap().body else { continue };
            let seq = Header::parse(&frame).unwrap().seq.unwrap();
            assert_eq!(seq, last + 1, "lost or out of order");
            last = seq;
        }
    }
    assert_eq!(last, messages as u64, "messages lost");
}

fn print(runs: &[(Client, Vec<Figure>)]) {
    let median = |figures: &[Figure], of: fn(&Figure) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let measure = runs.iter().find(|(client, _)| *client == Client::Discard);
    let measure = measure.map(|(_, figures)| {
        (median(figures, |figure| figure.rate), median(figures, |figure| figure.cpu))
    });
    println!(
        "{:<26}{:>10}{:>22}{:>18}{:>18}",
        "client", "M msg/s", "CPU s per million", "rate / discard", "CPU / discard"
    );
    for (client, figures) in runs {
        let (rate, cpu) =
            (median(figures, |figure| figure.rate), median(figures, |figure| figure.cpu));
        print!("{:<26}{rate:>10.3}{cpu:>22.2}", client.name());
        match measure {
            Some(of) => println!("{:>18.2}{:>18.2}", rate / of.0, cpu / of.1),
            None => println!(),
        }
    }
    println!("medians; a client's start-up is in its CPU time and not in its rate");
}
