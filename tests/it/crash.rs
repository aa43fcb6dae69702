//! Killed under load, a full disk, a removed folder: what is on the tape reads, what was sent before
//! the flush interval is there, and a recorder that cannot write says so and stops.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use kalshi_orderbook::{
    exchange::{Exchange, ExchangeConfig, Position},
    tape::{Archive, Leftovers, SegmentState, verify},
};

use crate::stage::{Tape, until};

/// The recorder's flush interval, and what a busy machine may add to it.
const FLUSH_MS: u64 = 50;
const GRACE: Duration = Duration::from_millis(500);

/// The last number of each subscription that the newest connection has on the tape.
fn taped(tape: &Tape, position: &Position) -> u64 {
    let newest = tape.frames.iter().map(|(conn, _)| *conn).max().unwrap_or_default();
    let sid = format!(r#""sid":{},"seq":"#, position.sid);
    let numbers = tape.frames_of(newest).into_iter().filter_map(|frame| {
        let digits = frame.split_once(&sid)?.1;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    numbers.max().unwrap_or_default()
}

/// The recorder as a process of its own.
pub(crate) fn recorder(mut program: Command, exchange: &Exchange, logs: &Path) -> Command {
    program
        .args(["ingest", "--env", "sandbox", "KXIT-1", "KXIT-2", "KXIT-3"])
        .args(["--ws-url", &exchange.ws_url(), "--flush-ms", &FLUSH_MS.to_string()])
        .arg("--log-dir")
        .arg(logs)
        .env("KALSHI_KEY_ID", exchange.key_id())
        .env("KALSHI_PRIVATE_KEY", exchange.private_key_pem().unwrap())
        .env_remove("KALSHI_PRIVATE_KEY_PATH")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_recorder_leaves_an_archive_that_reads_and_has_all_but_the_last_moment() {
    let kills: u32 = std::env::var("KALSHI_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let exchange = ExchangeConfig { rate: 20_000, ..ExchangeConfig::default() };
    let exchange = Exchange::start(exchange).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(u64::from(kills));
    for kill in 1..=kills {
        let logs = folder.path().join(kill.to_string());
        let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
        let mut recorder = recorder(program, &exchange, &logs)
            .args(["--segment-mb", "1"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the first frames", || !Tape::read(&logs).frames.is_empty()).await;
        tokio::time::sleep(Duration::from_millis(random.u64(0..800))).await;
        let sent = exchange.checkpoint();
        tokio::time::sleep(Duration::from_millis(FLUSH_MS) + GRACE).await;
        recorder.kill().unwrap();
        recorder.wait().unwrap();

        let proof = verify(&Archive::open(&logs).unwrap(), |_| {});
        assert!(!proof.is_damaged(), "kill {kill}: {proof:?}");
        assert!(proof.holes.is_empty(), "kill {kill}: {:?}", proof.holes);
        let open = proof.segments.iter().filter(|s| s.state == SegmentState::Open).count();
        // The one that is written, one being sealed, and those that a slow disk lets wait for it.
        assert!(open <= 1 + 1 + 4, "kill {kill}: {open} open segments");
        let tape = Tape::read(&logs);
        assert!(tape.torn <= 1, "kill {kill}: {} torn lines", tape.torn);
        let connection = exchange.connections_opened();
        for position in sent.positions.iter().filter(|p| p.connection == connection && p.seq > 0) {
            let last = taped(&tape, position);
            assert!(last >= position.seq, "kill {kill}: {position:?} on tape up to {last}");
        }
        let killed = proof.segments[0].session.as_deref().unwrap();
        next_start_sweeps(&exchange, &logs, killed, &tape).await;
    }
}

/// The next recorder in the folder finishes what the killed one left, and nothing reads otherwise.
async fn next_start_sweeps(exchange: &Exchange, logs: &Path, killed: &str, before: &Tape) {
    let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    let mut next = recorder(program, exchange, logs).stderr(Stdio::null()).spawn().unwrap();
    let swept = || Leftovers::of(logs).is_ok_and(|left| left == Leftovers::default());
    until("the sweep", swept).await;
    until("a frame of the next session", || Tape::read(logs).frames.len() > before.frames.len())
        .await;
    terminate(&next);
    assert_eq!(next.wait().unwrap().code(), Some(0));
    let proof = verify(&Archive::open(logs).unwrap(), |_| {});
    assert!(!proof.is_damaged() && proof.foreign_files.is_empty(), "{proof:?}");
    let mut segments = Archive::open(logs).unwrap().segments;
    segments.retain(|segment| segment.stem().contains(killed));
    let after = Tape::of(&segments);
    assert!(after.frames == before.frames && after.torn == before.torn, "{killed}");
}

/// Asks a recorder to end, as Ctrl-C does.
pub(crate) fn terminate(recorder: &Child) {
    let told = Command::new("kill").args(["-TERM", &recorder.id().to_string()]).status();
    assert!(told.unwrap().success());
}

/// No file may grow over 1 MB: to the recorder that is a disk that is full.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_recorder_with_the_last_good_line() {
    let exchange = ExchangeConfig { rate: 20_000, ..ExchangeConfig::default() };
    let exchange = Exchange::start(exchange).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    let limited = r#"trap "" XFSZ; ulimit -f 2048; exec "$0" "$@""#;
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_kalshi")]);
    let mut command = recorder(shell, &exchange, folder.path());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();

    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("error: write the tape: write log segment `"), "{error}");
    assert!(error.contains("hint: the segment is whole up to line "), "{error}");
    let proof = verify(&Archive::open(folder.path()).unwrap(), |_| {});
    assert!(!proof.is_damaged(), "{proof:?}");
    let [segment] = &*proof.segments else { panic!("{proof:?}") };
    assert_eq!((segment.state, segment.torn <= 1), (SegmentState::Open, true));
    let said: u64 =
        error.split("up to line ").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    assert!(segment.lines >= said && segment.frames > 0, "{said} {segment:?}");
}

/// Also where nothing comes that would be written to the removed file.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_folder_stops_the_recorder_on_a_busy_and_on_a_quiet_day() {
    for rate in [1_000, 0] {
        a_removed_folder_stops_the_recorder(rate).await;
    }
}

#[cfg(unix)]
async fn a_removed_folder_stops_the_recorder(rate: u32) {
    let exchange = Exchange::start(ExchangeConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    let recorder = recorder(program, &exchange, &logs).stderr(Stdio::piped()).spawn().unwrap();
    until("the first frames", || !Tape::read(&logs).frames.is_empty()).await;
    exchange.set_rate(rate);
    // What was on its way is written and synced by then.
    tokio::time::sleep(Duration::from_millis(FLUSH_MS) + GRACE).await;
    std::fs::remove_dir_all(&logs).unwrap();
    let wait = tokio::task::spawn_blocking(move || recorder.wait_with_output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("error: write the tape: sync log segment `"), "{error}");
    assert!(error.contains("hint: the log folder was moved or removed"), "{error}");
}
