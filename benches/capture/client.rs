//! Who records: ours, and what others have.

use std::{
    fs::File,
    io::{BufWriter, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use futures_util::StreamExt;
use tokio_tungstenite::{connect_async, tungstenite::Message};

/// A way of getting messages from a socket into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Client {
    /// Reads with tokio-tungstenite and throws away: the measure of the others
    Discard,
    /// `kalshi ingest` as a user runs it, without compression
    Kalshi,
    /// A prototype: a channel and a buffered file, and no look at what it writes
    Plain,
    /// `websocat` into a file, as it comes
    Websocat,
    /// Python with websockets and json
    Websockets,
    /// Python with picows and orjson
    Picows,
}

impl Client {
    pub(crate) const ALL: [Self; 6] =
        [Self::Discard, Self::Kalshi, Self::Plain, Self::Websocat, Self::Websockets, Self::Picows];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Discard => "read and thrown away",
            Self::Kalshi => "kalshi ingest",
            Self::Plain => "plain prototype",
            Self::Websocat => "websocat > file",
            Self::Websockets => "Python websockets + json",
            Self::Picows => "Python picows + orjson",
        }
    }

    /// How to get it, where it is not on this machine.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let (program, arguments, how): (_, &[&str], _) = match self {
            Self::Discard | Self::Kalshi | Self::Plain => return None,
            Self::Websocat => ("websocat", &["--version"], "cargo install websocat"),
            Self::Websockets => ("python3", &["-c", "import websockets"], "pip install websockets"),
            Self::Picows => {
                ("python3", &["-c", "import picows, orjson"], "pip install picows orjson")
            }
        };
        let mut try_it = Command::new(program);
        try_it.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        if try_it.status().is_ok_and(|status| status.success()) { None } else { Some(how) }
    }

    /// Whether it goes by itself when it has all messages.
    pub(crate) fn counts(self) -> bool {
        !matches!(self, Self::Kalshi | Self::Websocat)
    }

    /// Where it writes, if it does.
    pub(crate) fn file(self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::Discard | Self::Kalshi => None,
            Self::Plain | Self::Websocat | Self::Websockets | Self::Picows => {
                Some(folder.join("lines"))
            }
        }
    }

    pub(crate) fn start(self, server: SocketAddr, messages: usize, folder: &Path) -> Child {
        let url = format!("ws://{server}/trade-api/ws/v2");
        let file = self.file(folder).unwrap_or_default();
        let mut command = match self {
            Self::Kalshi => kalshi(&url, folder, &["KXBENCH-26NOV22-T1"]),
            Self::Discard | Self::Plain => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                let name = if self == Self::Discard { "discard" } else { "plain" };
                command.args(["--messages", &messages.to_string(), "--play", name, &url]);
                command.arg(&file);
                command
            }
            Self::Websocat => {
                let mut command = Command::new("websocat");
                // From the server to standard output only.
                command.args(["-t", "-U", "-B", "1000000", &url]);
                command.stdout(File::create(&file).unwrap());
                command
            }
            Self::Websockets | Self::Picows => {
                let picows = self == Self::Picows;
                let script = if picows { "picows_lines.py" } else { "websockets_lines.py" };
                let rivals = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rivals");
                let mut command = Command::new("python3");
                command.arg(rivals.join(script)).arg(&url).arg(messages.to_string()).arg(&file);
                command
            }
        };
        command.stdin(Stdio::null()).spawn().unwrap()
    }
}

/// The real program with a throw-away key, on the server's one channel.
pub(crate) fn kalshi(url: &str, folder: &Path, arguments: &[&str]) -> Command {
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).to_pkcs8_pem(LineEnding::LF).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    command
        .args(["ingest", "--env", "sandbox", "--compress", "none", "--ws-url", url, "--log-dir"])
        .arg(folder)
        .args(arguments)
        .env("KALSHI_KEY_ID", "bench")
        .env("KALSHI_PRIVATE_KEY", key.as_str())
        .env_remove("KALSHI_PRIVATE_KEY_PATH")
        .env("RUST_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Is one of the clients that are in this program.
pub(crate) fn play(name: &str, url: &str, messages: usize, file: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match name {
        "discard" => runtime.block_on(discard(url, messages)),
        "plain" => runtime.block_on(plain(url, messages, file)),
        other => panic!("no client {other}"),
    }
}

async fn discard(url: &str, messages: usize) {
    let (mut socket, _) = connect_async(url).await.unwrap();
    for _ in 0..messages {
        socket.next().await.unwrap().unwrap();
    }
}

async fn plain(url: &str, messages: usize, file: &str) {
    let (sender, mut received) = tokio::sync::mpsc::channel::<(i64, Message)>(10_000);
    let out = File::create(file).unwrap();
    let writer = std::thread::spawn(move || {
        let mut out = BufWriter::new(out);
        while let Some((recv_ns, message)) = received.blocking_recv() {
            let frame = message.to_text().unwrap();
            writeln!(out, r#"{{"recv_ns":{recv_ns},"conn":1,"frame":{frame}}}"#).unwrap();
        }
        out.flush().unwrap();
    });
    let (mut socket, _) = connect_async(url).await.unwrap();
    for _ in 0..messages {
        let message = socket.next().await.unwrap().unwrap();
        let recv_ns = jiff::Timestamp::now().as_nanosecond() as i64;
        sender.send((recv_ns, message)).await.unwrap();
    }
    drop(sender);
    tokio::task::spawn_blocking(|| writer.join().unwrap()).await.unwrap();
}
