//! What recording costs, beside what others would pay for it.
//!
//! `cargo bench --bench capture [-- rate | latency | memory] [--help]`. Everything runs over
//! loopback against a server in this process; each client is a process of its own, so that its CPU
//! time is its own. `rate` drives the recorder as a user runs it and its rivals with ready frames
//! as fast as each takes them; `latency` asks how long after its receipt a frame can be read from
//! the file; `memory` what ten thousand quiet markets take.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a benchmark"
)]

mod child;
mod client;
mod latency;
mod memory;
mod rate;
mod server;
#[path = "../common/usage.rs"]
mod usage;

use clap::Parser;

use client::Client;
use server::Layout;

/// What recording costs, beside what others would pay for it.
#[derive(Debug, Parser)]
#[command(name = "capture")]
struct Args {
    #[arg(value_enum, default_value = "rate")]
    mode: Mode,
    /// Frames served to each client (rate)
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// How often each client has its turn (rate)
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Clients to run (rate) [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Client>,
    /// How the keys of a frame are ordered (rate, latency)
    #[arg(long, value_enum, default_value_t = Layout::Exchange)]
    layout: Layout,
    /// How long to record (latency), or to watch when all books are there (memory)
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Markets (memory)
    #[arg(long, default_value_t = 10_000)]
    markets: usize,
    /// Given by `cargo bench` and absent under `cargo test`, which asks only whether this works
    #[arg(long, hide = true)]
    bench: bool,
    /// The client to be, with the server's address and the file to write
    #[arg(long, hide = true, num_args = 3)]
    play: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    /// Messages a second and CPU seconds a million of them, beside others
    Rate,
    /// From the receipt of a frame to when it can be read from the file
    Latency,
    /// What many quiet markets take
    Memory,
}

fn main() {
    let args = Args::parse();
    if let [name, url, file] = &*args.play {
        return client::play(name, url, args.messages, file);
    }
    if !args.bench {
        let ours = [Client::Discard, Client::Kalshi, Client::Plain];
        return rate::run(&ours, args.layout, 20_000, 1);
    }
    match args.mode {
        Mode::Rate => {
            let clients = if args.only.is_empty() { &Client::ALL[..] } else { &args.only };
            rate::run(clients, args.layout, args.messages, args.rounds);
        }
        Mode::Latency => latency::run(args.layout, args.seconds),
        Mode::Memory => memory::run(args.markets, args.seconds),
    }
}
