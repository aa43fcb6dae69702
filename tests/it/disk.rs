//! A log folder over many rotations, shared by recorders, and on a disk that is too small.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use kalshi_orderbook::{
    exchange::{Exchange, ExchangeConfig},
    tape::{Archive, Leftovers, Proof, SegmentState, SegmentWriter, Stamp, verify},
};
use tempfile::TempDir;

use crate::{
    crash::{recorder, terminate},
    stage::{Stage, until},
};

pub(crate) fn proof(logs: &Path) -> Proof {
    verify(&Archive::open(logs).unwrap(), |_| {})
}

async fn exchange(rate: u32) -> Exchange {
    Exchange::start(ExchangeConfig { rate, ..ExchangeConfig::default() }).await.unwrap()
}

/// Files of the folder that this process holds open.
#[cfg(target_os = "linux")]
fn open_files(folder: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap();
    // One that was closed meanwhile cannot be read.
    links
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
        .filter(|to| to.starts_with(folder))
        .count()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn fifty_rotations_hold_no_more_files_open_than_the_first() {
    /// Being written, waiting to be sealed, being sealed with its folder, being compressed with
    /// its copy; and a few that come and go while they are counted.
    const OPEN_MAX: usize = 1 + 4 + 2 + 2 + 6;
    let exchange = ExchangeConfig { rate: 20_000, ..ExchangeConfig::default() };
    let mut stage = Stage::of(exchange).await.tickers(5);
    stage.config.segment_bytes = 50_000;
    let logs = stage.config.log_dir.clone();
    let mut peak = 0;
    let summary = stage
        .record(async {
            let rotations = || {
                let days = fs::read_dir(&logs).into_iter().flatten();
                days.flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap()).count()
            };
            while rotations() < 60 {
                peak = peak.max(open_files(&logs));
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap();
    assert!(summary.segments >= 50 && peak > 0, "{summary} {peak}");
    assert!(peak <= OPEN_MAX, "{peak} files open");
    assert_eq!(open_files(&logs), 0);
    let proof = proof(&logs);
    assert!(!proof.is_damaged() && proof.unended.is_empty(), "{proof:?}");
    let of = |ending| {
        summary.files.iter().filter(|file| file.to_string_lossy().ends_with(ending)).count()
    };
    // On a busy machine the stop does not wait for all of them.
    let (compressed, sealed) = (of(".jsonl.zst"), of(".sealed.jsonl"));
    assert!(compressed > 0 && compressed + sealed == summary.files.len(), "{:?}", summary.files);
}

/// Two that live, one that is killed among them, and one that sweeps while the others are busy.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn recorders_in_one_folder_do_not_disturb_each_other() {
    let exchange = exchange(20_000).await;
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
        let mut recorder = recorder(program, &exchange, folder.path());
        recorder.args(["--segment-mb", "1"]).stderr(Stdio::piped()).spawn().unwrap()
    };
    let sessions = |count| {
        let archive = Archive::open(folder.path());
        let mut stems: Vec<_> =
            archive.iter().flat_map(|a| &a.segments).map(|s| s.stem()).collect();
        stems.retain(|stem| stem.ends_with("-0001"));
        stems.len() >= count
    };
    let mut living = vec![start(), start()];
    let mut killed = start();
    until("three sessions in their second segments", || sessions(3)).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    living.push(start());
    until("the fourth in its second", || sessions(4)).await;
    for recorder in &living {
        terminate(recorder);
    }
    let mut left_some = false;
    for recorder in living {
        let output = recorder.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        assert!(!error.contains("WARN"), "{error}");
        left_some |= error.contains("left for the next recorder");
    }
    let proof = proof(folder.path());
    assert!(!proof.is_damaged() && proof.holes.is_empty(), "{proof:?}");
    let leftovers = Leftovers::of(folder.path()).unwrap();
    assert!(leftovers.partial_copies.is_empty(), "{leftovers:?}");
    // On a busy machine a stop does not wait for all of them, and says so.
    assert!(leftovers.sealed.is_empty() || left_some, "{leftovers:?}");
    let open = proof.segments.iter().filter(|s| s.state == SegmentState::Open).count();
    assert!((1..=6).contains(&open), "only those of the killed one: {open}");
}

/// A small disk of its own, where this user may mount one.
struct Disk(TempDir);

impl Disk {
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path());
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: this user may not mount a tmpfs");
        }
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.path()).status().unwrap();
    }
}

async fn record_to_end(mut command: Command) -> (Option<i32>, String) {
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_that_fills_up_stops_the_recorder_and_what_is_on_it_is_sound() {
    let Some(disk) = Disk::mount("size=8m") else { return };
    let exchange = exchange(50_000).await;
    let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    let mut command = recorder(program, &exchange, disk.path());
    command.args(["--segment-mb", "1", "--compress", "none"]);
    let (code, error) = record_to_end(command).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    assert!(error.contains("hint: the segment is whole up to line "), "{error}");
    let proof = proof(disk.path());
    assert!(!proof.is_damaged() && proof.holes.is_empty(), "{proof:?}");
    assert!(proof.segments.len() >= 7, "{}", proof.segments.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_told_before_anything_is_recorded() {
    let Some(disk) = Disk::mount("size=1m,ro") else { return };
    let exchange = exchange(100).await;
    let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    let (code, error) = record_to_end(recorder(program, &exchange, disk.path())).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("Read-only file system"), "{error}");
    assert!(error.contains("hint: choose another folder with --log-dir"), "{error}");
}

/// A sealed segment of some MB that compresses badly.
fn sealed_by_an_earlier_session(folder: &Path) -> PathBuf {
    let stamp = Stamp { start_ns: 0, session: "3f9a1c07be52".into(), number: 0 };
    let mut segment = SegmentWriter::create(folder, &stamp).unwrap();
    let mut lines =
        br#"{"recv_ns":0,"event":"session","format":1,"session":"3f9a1c07be52","segment":0,"version":"0","env":"sandbox","host":"h","config":{}}"#
            .to_vec();
    lines.push(b'\n');
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0..10_000_i64 {
        let text: String = (0..300).map(|_| random.alphanumeric()).collect();
        kalshi_orderbook::tape::write_frame(&mut lines, n, 1, &format!(r#"{{"type":"{text}"}}"#));
    }
    segment.append(&lines, 10_001, 10_000).unwrap();
    segment.seal_last(1).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_stays_as_it_is_where_the_disk_has_no_room_for_its_copy() {
    let Some(disk) = Disk::mount("size=8m") else { return };
    let exchange = exchange(100).await;
    let sealed = sealed_by_an_earlier_session(disk.path());
    let before = fs::read(&sealed).unwrap();
    assert!(before.len() > 3_000_000);
    fs::write(disk.path().join("filler"), vec![1; 4_000_000]).unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    let mut command = recorder(program, &exchange, disk.path());
    command.args(["--duration", "2s"]);
    let (code, error) = record_to_end(command).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("segment not compressed"), "{error}");
    assert!(error.contains("too little room for a copy"), "{error}");
    assert!(fs::read(&sealed).unwrap() == before);
    let sound = proof(disk.path());
    assert!(!sound.is_damaged(), "{sound:?}");
    assert_eq!(sound.foreign_files, [disk.path().join("filler")]);
    assert_eq!(sound.segments.len(), 2);

    // With room again, the next recorder does it.
    fs::remove_file(disk.path().join("filler")).unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    let recorder = recorder(program, &exchange, disk.path()).spawn().unwrap();
    until("the sweep", || !sealed.exists()).await;
    terminate(&recorder);
    assert_eq!(recorder.wait_with_output().unwrap().status.code(), Some(0));
    let swept = proof(disk.path());
    assert!(!swept.is_damaged(), "{swept:?}");
    let earlier = swept.segments.iter().find(|s| s.session.as_deref() == Some("3f9a1c07be52"));
    let earlier = earlier.unwrap();
    assert_eq!((earlier.state, earlier.frames), (SegmentState::Proven, 10_000));
}
