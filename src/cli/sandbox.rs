//! `kalshi sandbox`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use kalshi_orderbook::exchange::{Exchange, ExchangeConfig, FAULTS, Fault, KeyKind, environment};

use super::{failure::Failure, signals::Signals};

/// Run the synthetic exchange on this machine, for trying any client
///
/// Speaks Kalshi's WebSocket protocol on loopback, checks signatures as the exchange does, and
/// trades made-up markets: any ticker exists once it is asked for. Prints, as lines for a shell, the
/// variables that a client needs: a throw-away key and the addresses. Runs until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kalshi sandbox --port 9020 > sandbox.env
  set -a; . ./sandbox.env; set +a; kalshi ingest --env sandbox KXA-26-1
  kalshi sandbox --fault drop@conn=1,sid=1,seq=50 --fault close=1012@conn=2,after=5s")]
pub(crate) struct Args {
    /// Loopback port; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Determines every market, together with its ticker
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Messages a second over all markets
    #[arg(long, value_name = "N", default_value_t = 200)]
    rate: u32,
    /// Make an RSA key in place of an Ed25519 one
    #[arg(long)]
    rsa: bool,
    /// Something that goes wrong, once; may be given more than once
    #[arg(long = "fault", value_name = "WHAT@PLACE", long_help = fault_help())]
    faults: Vec<Fault>,
}

fn fault_help() -> String {
    format!("Something that goes wrong, once; may be given more than once. WHAT@PLACE:\n\n{FAULTS}")
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::listen().context("listen for signals")?;
        let key = if args.rsa { KeyKind::Rsa } else { KeyKind::Ed25519 };
        let config = ExchangeConfig {
            port: args.port,
            seed: args.seed,
            rate: args.rate,
            key,
            faults: args.faults.clone(),
            ..ExchangeConfig::default()
        };
        let exchange = Exchange::start(config)
            .await
            .with_context(|| format!("listen on 127.0.0.1:{}", args.port))
            .map_err(|error| {
                Failure::from(error).with_hint("--port 0 takes a port that is free")
            })?;
        let mut out = io::stdout().lock();
        for (name, value) in environment(&exchange) {
            writeln!(out, "{name}='{value}'")?;
        }
        out.flush()?;
        signals.next().await;
        exchange.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}
