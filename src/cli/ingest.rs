//! `kalshi ingest`.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use kalshi_orderbook::{
    exchange::{Exchange, ExchangeConfig},
    ingestor::{Compression, Config, Environment, Error, Ingestor, Progress, Summary, WsUrl},
    protocol::{Channel, Credentials},
};
use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;

use super::{
    Common,
    common::{Format, LogFormat},
    credentials,
    failure::Failure,
    signals::Signals,
    stdout::Stdout,
    tickers, time,
};

const DEFAULT_CHANNELS: &str = "orderbook_delta,ticker,trade,market_lifecycle_v2";

/// Record order books, trades and tickers
///
/// Tickers come from arguments, --tickers-file, or standard input when it is not a terminal: one a
/// line, `#` starts a comment. Frames are written as they came, with their receive time, to
/// LOG_DIR/YYYY-MM-DD/*.jsonl; sealed segments are compressed. Ctrl-C or SIGTERM stops: what was
/// received is written, the segment sealed, a summary printed. A second signal exits at once (130).
///
/// The key comes from KALSHI_KEY_ID and KALSHI_PRIVATE_KEY_PATH (or KALSHI_PRIVATE_KEY), from the
/// environment or a file `.env`; `--env sandbox` needs none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cat tickers.txt | kalshi ingest
  kalshi ingest KXFED-27APR-T4.25 KXGREENLAND-29
  kalshi ingest --tickers-file tickers.txt --env sandbox --duration 10s")]
pub(crate) struct Args {
    /// Markets to record
    #[arg(value_name = "TICKER")]
    tickers: Vec<String>,
    /// File with one ticker a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    tickers_file: Option<PathBuf>,
    /// Which exchange; `sandbox` is a synthetic one inside this program
    #[arg(long, value_enum, env = "KALSHI_ENV", default_value_t = Env::Prod)]
    env: Env,
    /// WebSocket address in place of the environment's: wss://, or ws:// on this machine
    #[arg(long, value_name = "URL", env = "KALSHI_WS_URL", hide_env_values = true)]
    ws_url: Option<String>,
    /// Channels to subscribe to
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = channel,
        default_value = DEFAULT_CHANNELS
    )]
    channels: Vec<Channel>,
    /// Connections to spread the markets over [default: one per 100 markets, at most 10]
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Messages that may wait to be written; when full, sockets are not read until there is room
    #[arg(long, value_name = "MESSAGES", default_value_t = 250_000)]
    queue: u32,
    /// Write to the file at least this often, while the disk keeps up: what `kill -9` can cost
    #[arg(long, value_name = "MS", default_value_t = 100)]
    flush_ms: u64,
    /// Sync the file this often; a power cut can cost this, the flush interval, and the time that
    /// the disk takes
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    sync_ms: u64,
    /// Start a new segment after this much, in MB before compression
    #[arg(long, value_name = "MB", default_value_t = 256)]
    segment_mb: u64,
    /// Start a new segment after this long
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    segment_minutes: u64,
    /// What happens to sealed segments
    #[arg(long, value_enum, default_value_t = Compress::Zstd)]
    compress: Compress,
    /// Stop after this long, such as 30s or 2h
    #[arg(long, value_name = "TIME", value_parser = time::duration)]
    duration: Option<i64>,
    /// Say more on standard error, each frame included
    #[arg(long)]
    debug: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Env {
    /// The real exchange
    Prod,
    /// The exchange's demo; it has keys of its own
    Demo,
    /// A synthetic exchange in this process, with a throw-away key
    Sandbox,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compress {
    /// To .jsonl.zst, about a twentieth
    Zstd,
    /// They stay as they are
    None,
}

fn channel(name: &str) -> Result<Channel, &'static str> {
    let channel = Channel::parse(name.trim());
    if let Channel::Other(other) = &channel
        && other != "multivariate_market_lifecycle"
    {
        return Err("the public channels are orderbook_delta, ticker, trade, market_lifecycle_v2 \
                    and multivariate_market_lifecycle");
    }
    Ok(channel)
}

pub(crate) fn run(common: &Common, args: Args) -> Result<ExitCode, Failure> {
    start_log(common, args.debug)?;
    let mut config = config(common, &args)?;
    config.tickers = tickers::gather(&args.tickers, args.tickers_file.as_deref())?;
    // Told before a key is asked for.
    if config.tickers.is_empty() && config.channels.iter().any(Channel::takes_markets) {
        return Err(Error::NoTickers.into());
    }
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let duration = args.duration.and_then(|ns| u64::try_from(ns).ok()).map(Duration::from_nanos);
    let recorded = runtime.block_on(async {
        let inside = config.environment == Environment::Sandbox && args.ws_url.is_none();
        let (exchange, credentials) = if inside {
            let exchange = Exchange::start(ExchangeConfig::default()).await;
            let exchange = exchange.context("start the sandbox exchange")?;
            config.url = exchange.ws_url().parse().context("reach the sandbox exchange")?;
            let pem = exchange.private_key_pem().unwrap_or_default();
            let key = Credentials::new(exchange.key_id(), pem);
            (Some(exchange), key.context("use the sandbox's key")?)
        } else {
            (None, credentials::load()?)
        };
        let recorded = record(config, credentials, duration).await;
        if let Some(exchange) = exchange {
            exchange.stop().await;
        }
        recorded
    });
    // A second signal must not wait for anything.
    runtime.shutdown_background();
    let Some(summary) = recorded? else { return Ok(ExitCode::from(130)) };
    print(common, &summary)?;
    let holes = common.strict && summary.has_holes();
    Ok(ExitCode::from(if holes { 3 } else { 0 }))
}

/// Records until the time is over or a signal comes; `None` after a second signal.
async fn record(
    config: Config,
    credentials: Credentials,
    duration: Option<Duration>,
) -> Result<Option<Summary>, Failure> {
    let mut first = Signals::listen().context("listen for signals")?;
    let mut second = Signals::listen().context("listen for signals")?;
    let ingestor = Ingestor::new(config, credentials);
    let progress = ingestor.progress();
    let shutdown = async {
        let over = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => {}
            () = first.next() => tracing::info!("stopping; a second signal exits at once"),
        }
    };
    let twice = async {
        second.next().await;
        second.next().await;
    };
    tokio::select! {
        biased;
        recorded = ingestor.run(shutdown) => Ok(Some(recorded?)),
        () = twice => Ok(None),
        () = show(progress) => Ok(None),
    }
}

/// Shows on a terminal how the recording goes; never ends.
async fn show(progress: Progress) {
    if !io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let line = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
        line.set_style(style);
    }
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let received = progress.received();
        line.set_message(format!(
            "{received} messages, {}/s, {} connections, {} gaps",
            received.saturating_sub(last),
            progress.connected(),
            progress.gaps(),
        ));
        line.tick();
        last = received;
    }
}

fn config(common: &Common, args: &Args) -> Result<Config, Failure> {
    let environment = match args.env {
        Env::Prod => Environment::Prod,
        Env::Demo => Environment::Demo,
        Env::Sandbox => Environment::Sandbox,
    };
    let defaults = Config::default();
    let mut channels = Vec::new();
    for channel in &args.channels {
        if !channels.contains(channel) {
            channels.push(channel.clone());
        }
    }
    // Not read with the other arguments: a refusal there quotes all of it, a password included.
    let url = args.ws_url.as_deref().map(str::parse::<WsUrl>).transpose();
    let url = url.map_err(|error| Failure::usage(format!("--ws-url: {error}")))?;
    Ok(Config {
        channels,
        log_dir: common.log_dir.clone(),
        environment,
        url: url.or_else(|| environment.ws_url()).unwrap_or(defaults.url),
        connections: args.connections,
        queue_messages: args.queue,
        flush: Duration::from_millis(args.flush_ms),
        sync: Duration::from_millis(args.sync_ms),
        segment_bytes: args.segment_mb.saturating_mul(1_000_000),
        segment_age: Duration::from_secs(args.segment_minutes.saturating_mul(60)),
        compression: match args.compress {
            Compress::Zstd => Compression::Zstd,
            Compress::None => Compression::None,
        },
        tickers: Vec::new(),
        limits: defaults.limits,
    })
}

fn start_log(common: &Common, debug: bool) -> Result<(), Failure> {
    let chosen = std::env::var("RUST_LOG")
        .ok()
        .filter(|chosen| !chosen.trim().is_empty() && EnvFilter::try_new(chosen).is_ok());
    let mut level = chosen.unwrap_or_else(|| "info".to_owned());
    if debug {
        level.push_str(",kalshi_orderbook=debug,kalshi::frame=debug");
    }
    // A standard error that is gone must not stop a recording: its failures are not told on it.
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(io::stderr)
        .log_internal_errors(false);
    // Set as it is, and not by `try_init`, which would let the libraries' own log in as well: at
    // trace level that of the WebSocket has the request with key id and signature.
    let started = match common.log_format {
        LogFormat::Json => set_global_default(log.json().finish()),
        LogFormat::Text => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            set_global_default(log.with_target(false).with_ansi(colours).finish())
        }
    };
    Ok(started.context("start the log")?)
}

fn print(common: &Common, summary: &Summary) -> Result<(), Failure> {
    let mut out = Stdout::lock();
    if common.format == Some(Format::Json) {
        serde_json::to_writer(&mut out, summary).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{summary}")?;
        for file in &summary.files {
            writeln!(out, "tape         {}", file.display())?;
        }
    }
    Ok(out.flush()?)
}
