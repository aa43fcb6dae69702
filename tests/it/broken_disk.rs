//! Disks that fail or are slow, made so by `strace` on the recorder's system calls.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kalshi_orderbook::{
    exchange::{Exchange, ExchangeConfig},
    tape::{Archive, Layout},
};

use crate::{
    crash::{recorder, terminate},
    disk::proof,
    stage::{Tape, until},
};

/// Whether `strace` is there and may be used.
fn can_trace() -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "true"]).stderr(Stdio::null());
    let can = strace.status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: there is no strace, or it is not permitted");
    }
    can
}

/// `strace` with a fault on some system calls, to which a program is still to be added.
fn strace(calls: &str, fault: &str) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-o", "/dev/null"]);
    strace.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{fault}")]);
    strace
}

async fn exchange(rate: u32) -> Exchange {
    // It does not cut off a recorder that stops reading for some seconds.
    let outbox_frames = 1_000_000;
    Exchange::start(ExchangeConfig { rate, outbox_frames, ..ExchangeConfig::default() })
        .await
        .unwrap()
}

/// A fault on what is written to one file by a recorder that runs.
async fn afflict(recorder: &Child, file: &Path, fault: &str) -> Child {
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=write",
        "-e",
        &format!("inject=write:{fault}"),
    ]);
    strace.arg("-P").arg(file).args(["-p", &recorder.id().to_string()]);
    strace.stderr(Stdio::null()).spawn().unwrap()
}

fn open_segment(logs: &Path) -> PathBuf {
    let archive = Archive::open(logs).unwrap();
    archive.segments.into_iter().find(|s| s.layout == Layout::Open).unwrap().path
}

async fn end_of(recorder: Child) -> (Option<i32>, String, String) {
    let wait = tokio::task::spawn_blocking(move || recorder.wait_with_output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_a_write_stops_the_recorder_with_the_last_good_line() {
    if !can_trace() {
        return;
    }
    for (fault, reason) in [
        ("EIO", "Input/output error"),
        ("ENOSPC", "No space left on device"),
        ("EROFS", "Read-only file system"),
    ] {
        let exchange = exchange(5_000).await;
        let folder = tempfile::tempdir().unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
        let recorder =
            recorder(program, &exchange, folder.path()).stderr(Stdio::piped()).spawn().unwrap();
        until("the first frames", || !Tape::read(folder.path()).frames.is_empty()).await;
        let file = open_segment(folder.path());
        let mut strace = afflict(&recorder, &file, &format!("error={fault}")).await;
        let end = end_of(recorder);
        let (code, _, error) = end.await;
        strace.wait().unwrap();
        assert_eq!(code, Some(1), "{error}");
        let said =
            format!("error: write the tape: write log segment `{}`: {reason}", file.display());
        assert!(error.contains(&said), "{error}");
        assert!(error.contains("hint: the segment is whole up to line "), "{error}");
        let proof = proof(folder.path());
        assert!(!proof.is_damaged() && proof.holes.is_empty(), "{proof:?}");
        let line = error.split("up to line ").nth(1).unwrap().split(';').next().unwrap();
        assert_eq!(line, proof.segments[0].lines.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_synced_stops_the_recorder_with_the_last_synced_line() {
    if !can_trace() {
        return;
    }
    let exchange = exchange(5_000).await;
    let folder = tempfile::tempdir().unwrap();
    let mut strace = strace("fdatasync", "error=EIO:when=3");
    strace.arg(env!("CARGO_BIN_EXE_kalshi"));
    let mut command = recorder(strace, &exchange, folder.path());
    let recorder = command.args(["--sync-ms", "300"]).stderr(Stdio::piped()).spawn().unwrap();
    let (code, _, error) = end_of(recorder).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("error: write the tape: sync log segment `"), "{error}");
    assert!(error.contains(" lines after it may not have reached the disk; "), "{error}");
    let proof = proof(folder.path());
    assert!(!proof.is_damaged() && proof.holes.is_empty(), "{proof:?}");
    let number = |after: &str| -> u64 {
        error.split(after).nth(1).unwrap().split([' ', ';']).next().unwrap().parse().unwrap()
    };
    let (synced, unsynced) = (number("up to line "), number("; "));
    assert!(synced > 0 && unsynced > 0);
    assert!(proof.segments[0].lines >= synced + unsynced, "{error} {proof:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_syncs_slowly_delays_no_writing() {
    if !can_trace() {
        return;
    }
    let exchange = exchange(1_500).await;
    let folder = tempfile::tempdir().unwrap();
    let mut strace = strace("fsync,fdatasync", "delay_enter=500000");
    strace.arg(env!("CARGO_BIN_EXE_kalshi"));
    let mut command = recorder(strace, &exchange, folder.path());
    // A queue for less than half of what one sync takes.
    command.args(["--queue", "300", "--segment-mb", "1", "--sync-ms", "100"]);
    command.args(["--duration", "10s", "--format", "json"]);
    let recorder = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (code, summary, error) = end_of(recorder).await;
    assert_eq!(code, Some(0), "{error}");
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert!(summary["segments"].as_u64().unwrap() >= 3, "{summary}");
    assert!(summary["stalled"].as_f64().unwrap() < 0.1, "{summary}");
    assert!(!proof(folder.path()).is_damaged());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_writes_slowly_stalls_the_sockets_and_nothing_is_lost() {
    const QUEUE: u64 = 2_000;
    if !can_trace() {
        return;
    }
    let exchange = exchange(5_000).await;
    let folder = tempfile::tempdir().unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    let mut command = recorder(program, &exchange, folder.path());
    command.args(["--queue", &QUEUE.to_string(), "--format", "json"]);
    let recorder = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the first frames", || !Tape::read(folder.path()).frames.is_empty()).await;
    let mut strace = afflict(&recorder, &open_segment(folder.path()), "delay_enter=1000000").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    terminate(&strace);
    strace.wait().unwrap();
    until("the stall on the tape", || Tape::read(folder.path()).has("Stalled")).await;
    terminate(&recorder);
    let (code, summary, error) = end_of(recorder).await;
    assert_eq!(code, Some(0), "{error}");
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let number = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(number("received"), number("written") + number("rejected"));
    assert_eq!((number("gaps"), number("losses")), (0, 0), "{summary}");
    assert!(number("queue_peak") <= QUEUE, "{summary}");
    assert!(summary["stalled"].as_f64().unwrap() > 0.5, "{summary}");
    let proof = proof(folder.path());
    assert!(!proof.is_damaged() && proof.holes.is_empty(), "{proof:?}");
    let frames: u64 = proof.segments.iter().map(|s| s.frames).sum();
    assert_eq!(frames, number("written"));
}
