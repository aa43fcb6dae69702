//! The lake: digested bit by bit, thrown away, damaged, shared; the answers stay the same.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use kalshi_orderbook::analysis::{
    Analyzer, Error, MarketRow,
    arrow::array::{Int64Array, StringArray},
};

use crate::tape::{A, B, Tape, delta, snapshot};

/// Every answer that there is, as text: all views, row by row.
fn answers(logs: &Path) -> Vec<String> {
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(logs).unwrap();
    let views = [
        "book_events ORDER BY ALL",
        "bbo ORDER BY ALL",
        "trades ORDER BY ALL",
        "spans ORDER BY ALL",
        "gaps ORDER BY ALL",
        "coverage ORDER BY ALL",
        "markets ORDER BY ALL",
        "(SELECT session, lines, frames, events, closed FROM sessions) ORDER BY ALL",
    ];
    let mut answers = Vec::new();
    for view in views {
        let rows = analyzer.query(&format!("SELECT r::VARCHAR FROM (FROM {view}) r")).unwrap();
        for batch in rows {
            let text = batch.column(0).clone();
            let text = text.as_any().downcast_ref::<StringArray>();
            answers.extend(text.unwrap().iter().map(|row| format!("{view}: {}", row.unwrap())));
        }
    }
    assert!(answers.len() > 8, "{answers:?}");
    answers
}

/// Compares answers row by row, as a list of thousands says little.
#[track_caller]
fn same(found: &[String], expected: &[String]) {
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
    let new: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
    assert_eq!(
        (missing.as_slice(), new.as_slice(), found.len()),
        (&[][..], &[][..], expected.len())
    );
}

/// What there is of a market.
fn market(logs: &Path, ticker: &str) -> MarketRow {
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(logs).unwrap();
    let markets = analyzer.markets().unwrap();
    markets.into_iter().find(|market| market.ticker == ticker).unwrap()
}

fn lake(logs: &Path) -> PathBuf {
    logs.join("lake")
}

/// Every file under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { pending.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Two connections, a gap, a snapshot that mends it, and a level each second.
fn lines() -> Vec<String> {
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[("0.4500", "9.00")], &[("0.4800", "2.00")]))
        .frame(1, 1, snapshot(2, 2, B, &[("0.1000", "5.00")], &[]));
    let mut tape = tape;
    for n in 0..30 {
        let market = if n % 3 == 0 { B } else { A };
        let seq = if n < 15 { 3 + n } else { 5 + n };
        tape = tape.frame(
            2 + i64::try_from(n).unwrap(),
            1,
            delta(2, seq, market, "yes", "0.4600", "1.00"),
        );
    }
    let tape = tape
        .frame(40, 1, snapshot(2, 35, A, &[("0.4400", "1.00")], &[]))
        .event(50, 1, r#""disconnected","cause":"reset by peer""#)
        .connected(52, 2)
        .frame(53, 2, snapshot(2, 1, A, &[("0.4300", "1.00")], &[]))
        .frame(86_400 + 60, 2, delta(2, 2, A, "yes", "0.4300", "2.50"));
    tape.text().lines().map(str::to_owned).collect()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

const SEGMENT: &str = "2026-05-11/20260511T053320Z-3f9a1c07be52-0000.jsonl";

#[test]
fn digested_line_by_line_it_is_what_it_is_digested_at_once() {
    let lines = lines();
    let [once, often] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    write(&once.path().join(SEGMENT), &(lines.join("\n") + "\n"));
    let expected = answers(once.path());
    for (n, line) in lines.iter().enumerate() {
        // Half a line first: it is not there yet.
        let (start, end) = line.split_at(line.len() / 2);
        write(&often.path().join(SEGMENT), start);
        if n % 4 == 0 {
            Analyzer::new().unwrap().load_logs(often.path()).unwrap();
        }
        write(&often.path().join(SEGMENT), &format!("{end}\n"));
        if n % 3 != 0 {
            Analyzer::new().unwrap().load_logs(often.path()).unwrap();
        }
    }
    same(&answers(often.path()), &expected);
    // And small files have become few.
    let parts = files(&lake(often.path()).join("book_event"));
    let manifest = fs::read_to_string(lake(often.path()).join("manifest.json")).unwrap();
    let live = parts
        .iter()
        .filter(|part| manifest.contains(&format!("{}\"", part.file_name().unwrap().display())));
    assert!(live.count() < 40, "{parts:?}");
}

#[test]
fn a_segment_that_is_sealed_and_compressed_meanwhile_is_digested_once() {
    let lines = lines();
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join(SEGMENT);
    write(&open, &(lines[..10].join("\n") + "\n"));
    Analyzer::new().unwrap().load_logs(folder.path()).unwrap();
    write(&open, &(lines[10..].join("\n") + "\n"));
    let text = fs::read(&open).unwrap();
    let compressed = open.with_extension("jsonl.zst");
    fs::write(&compressed, zstd::encode_all(text.as_slice(), 3).unwrap()).unwrap();
    fs::remove_file(&open).unwrap();
    let found = answers(folder.path());
    fs::remove_dir_all(lake(folder.path())).unwrap();
    assert_eq!(answers(folder.path()), found);
    let once = tempfile::tempdir().unwrap();
    write(&once.path().join(SEGMENT), &(lines.join("\n") + "\n"));
    assert_eq!(answers(once.path()), found);
}

#[test]
fn without_news_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    answers(folder.path());
    let state = || {
        let stat = |path: &PathBuf| (path.clone(), fs::metadata(path).unwrap().modified().unwrap());
        files(&lake(folder.path())).iter().map(stat).collect::<Vec<_>>()
    };
    let before = state();
    answers(folder.path());
    assert_eq!(state(), before);
}

#[test]
fn damage_is_noticed_and_the_lake_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    let expected = answers(folder.path());
    let damages: [&dyn Fn(&Path); 6] = [
        &|lake| fs::remove_dir_all(lake).unwrap(),
        &|lake| fs::write(lake.join("manifest.json"), "{").unwrap(),
        &|lake| fs::write(lake.join("manifest.json"), r#"{"format":0}"#).unwrap(),
        &|lake| fs::remove_file(some_part(lake)).unwrap(),
        &|lake| fs::write(some_part(lake), "PAR1").unwrap(),
        &|lake| {
            let part = some_part(lake);
            let mut bytes = fs::read(&part).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(part, bytes).unwrap();
        },
    ];
    for damage in damages {
        damage(&lake(folder.path()));
        assert_eq!(answers(folder.path()), expected);
    }
}

fn some_part(lake: &Path) -> PathBuf {
    let manifest = fs::read_to_string(lake.join("manifest.json")).unwrap();
    let is_used = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("part-") && manifest.contains(&name)
    };
    files(&lake.join("book_event")).into_iter().find(is_used).unwrap()
}

#[test]
fn a_recording_that_was_replaced_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.jsonl");
    let frame = |n: u64| format!("{}\n", snapshot(1, n, A, &[("0.5000", &format!("{n}.00"))], &[]));
    fs::write(&other, frame(1) + &frame(2) + &frame(3)).unwrap();
    Analyzer::new().unwrap().load_logs(folder.path()).unwrap();
    fs::write(&other, frame(4)).unwrap();
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(folder.path()).unwrap();
    let book = analyzer.reconstruct_book(A).unwrap();
    assert_eq!(book.seq, 4);
}

/// A process that analyses is killed at any moment; the next one finds what it needs.
#[test]
fn a_digestion_that_is_killed_leaves_nothing_half_done() {
    let kills = std::env::var("KALSHI_DIGEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    let analyze = |logs: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kalshi"));
        command.args(["analyze", "markets", "--log-dir"]).arg(logs);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let expected = answers(folder.path());
    let mut random = fastrand::Rng::with_seed(26);
    for _ in 0..kills {
        fs::remove_dir_all(lake(folder.path())).unwrap();
        let mut child = analyze(folder.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(random.u64(10_000..250_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        fs::create_dir_all(lake(folder.path())).unwrap();
        assert_eq!(answers(folder.path()), expected);
    }
}

#[test]
fn several_at_once_digest_it_once_and_see_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kalshi"));
            command.args(["analyze", "markets", "--format", "csv", "--log-dir"]).arg(folder.path());
            command.stdout(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs: Vec<_> =
        children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for output in &outputs {
        assert!(output.status.success());
        assert_eq!(output.stdout, outputs[0].stdout);
    }
}

/// A second recorder's session, of markets that the first does not have.
fn other_session(name: &str, start: i64) -> String {
    let mut tape = Tape::session(name).connected(start, 1);
    for n in 1..6 {
        let market = format!("KXZ-26-{name}-{n}");
        tape = tape.frame(start + 1, 1, snapshot(2, n, &market, &[("0.4500", "9.00")], &[]));
    }
    tape.text().to_owned()
}

#[test]
fn sessions_that_come_one_after_another_are_what_they_are_at_once() {
    let [once, often] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut expected = Vec::new();
    for n in 0..20 {
        let name = format!("2026-05-11/20260511T0533{n:02}Z-{n:012x}-0000.jsonl");
        let text = other_session(&format!("s{n}"), n * 7);
        write(&once.path().join(&name), &text);
        write(&often.path().join(&name), &text);
        expected = answers(often.path());
    }
    same(&expected, &answers(once.path()));
    for table in ["book_event", "span", "presence"] {
        let manifest = fs::read_to_string(lake(often.path()).join("manifest.json")).unwrap();
        let parts = manifest.matches(&format!("\"{table}/")).count();
        let garbage = manifest.split("\"garbage\"").nth(1).unwrap();
        let parts = parts - garbage.matches(&format!("\"{table}/")).count();
        assert!((1..8).contains(&parts), "{table} has {parts} files");
    }
}

#[cfg(unix)]
#[test]
fn a_lake_removes_no_file_that_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    write(&folder.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    let load = || {
        let analyzer = Analyzer::new().unwrap();
        analyzer.load(folder.path(), Some(elsewhere.path()), &|_, _| {}).map(drop)
    };
    let kept = ["notes.txt", "part-1.parquet", "trade/mine.parquet", "sub/part-00000001.parquet"];
    // Somebody's folder is no lake.
    write(&elsewhere.path().join(kept[0]), "x");
    let error = load().unwrap_err();
    assert!(error.hint().unwrap().contains("empty folder"), "{error:?}");
    assert_eq!(files(elsewhere.path()).len(), 1);
    fs::remove_file(elsewhere.path().join(kept[0])).unwrap();
    load().unwrap();
    // Files of somebody, some of them named as ours, reached through a link, too.
    for name in kept {
        write(&elsewhere.path().join(name), "x");
    }
    let linked = tempfile::tempdir().unwrap();
    write(&linked.path().join("part-00000007.parquet"), "x");
    fs::remove_dir_all(elsewhere.path().join("ticker")).ok();
    std::os::unix::fs::symlink(linked.path(), elsewhere.path().join("ticker")).unwrap();
    write(&elsewhere.path().join("quote/part-00000909.parquet"), "left by a crash");
    write(&folder.path().join(SEGMENT), "{}\n");
    load().unwrap();
    for name in kept {
        assert!(elsewhere.path().join(name).exists(), "{name}");
    }
    assert!(linked.path().join("part-00000007.parquet").exists());
    assert!(!elsewhere.path().join("quote/part-00000909.parquet").exists());
}

#[test]
fn a_lake_that_was_built_anew_owns_no_garbage() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.jsonl");
    let frame = |n: u64| format!("{}\n", snapshot(1, n, A, &[("0.5000", &format!("{n}.00"))], &[]));
    for text in [frame(1) + &frame(2), frame(3), frame(4)] {
        fs::write(&other, text).unwrap();
        Analyzer::new().unwrap().load_logs(folder.path()).unwrap();
    }
    let manifest = fs::read(lake(folder.path()).join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let paths = |name: &str, key: &str| {
        let of = |entry: &serde_json::Value| entry[key].as_str().unwrap().to_owned();
        manifest[name].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let parts = paths("parts", "path");
    let garbage = manifest["garbage"].as_array().unwrap();
    let garbage: Vec<_> = garbage.iter().map(|entry| entry[0].as_str().unwrap()).collect();
    assert!(garbage.len() > 6 && parts.len() > 3, "{manifest}");
    assert!(parts.iter().all(|part| !garbage.contains(&&**part)), "{manifest}");
}

#[test]
fn a_larger_recording_in_the_place_of_another_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.jsonl");
    let frame = |n: u64| {
        let frame = snapshot(1, n, A, &[("0.5000", &format!("{n}.00"))], &[]);
        format!("{{\"recv_ns\":{},\"frame\":{frame}}}\n", crate::tape::at(1))
    };
    fs::write(&other, frame(1) + &frame(2)).unwrap();
    Analyzer::new().unwrap().load_logs(folder.path()).unwrap();
    // It grows: only what is new is read.
    fs::write(&other, frame(1) + &frame(2) + &frame(3)).unwrap();
    let analyzer = Analyzer::new().unwrap();
    assert_eq!(analyzer.load_logs(folder.path()).unwrap().total().lines, 1);
    // It is longer, and another one.
    fs::write(&other, (4..9).map(frame).collect::<String>()).unwrap();
    let analyzer = Analyzer::new().unwrap();
    assert_eq!(analyzer.load_logs(folder.path()).unwrap().total().lines, 5);
    assert_eq!(analyzer.reconstruct_book(A).unwrap().seq, 8);
    let first = analyzer.query("SELECT min(seq)::VARCHAR FROM book_events").unwrap();
    assert!(format!("{first:?}").contains("\"4\""), "{first:?}");
}

#[test]
fn what_was_known_where_a_session_goes_on_may_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let lines = lines();
    write(&folder.path().join(SEGMENT), &(lines[..10].join("\n") + "\n"));
    answers(folder.path());
    for state in files(&lake(folder.path()).join("state")) {
        fs::write(state, "rubbish").unwrap();
    }
    write(&folder.path().join(SEGMENT), &(lines[10..].join("\n") + "\n"));
    let found = answers(folder.path());
    let once = tempfile::tempdir().unwrap();
    write(&once.path().join(SEGMENT), &(lines.join("\n") + "\n"));
    same(&found, &answers(once.path()));
}

#[test]
fn damage_of_a_recording_is_told_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let text = lines().join("\n") + "\n";
    let mut compressed = zstd::encode_all(text.as_bytes(), 3).unwrap();
    compressed.truncate(compressed.len() - 20);
    let path = folder.path().join(SEGMENT).with_extension("jsonl.zst");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, compressed).unwrap();
    let load = || Analyzer::new().unwrap().load_logs(folder.path()).unwrap();
    let first = load();
    assert!(first.segments[0].damage.is_some() && first.damaged.is_empty());
    let later = load();
    assert!(later.segments.is_empty());
    assert_eq!(later.damaged.len(), 1);
    assert_eq!(later.damaged[0].0, path);
    // The whole file comes back.
    fs::write(&path, zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    assert!(load().damaged.is_empty());
}

/// Nobody waits for a digestion that cannot store what it reads.
#[test]
fn a_lake_that_cannot_be_written_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..40 {
        write(&folder.path().join(format!("other-{n}.jsonl")), &(lines().join("\n") + "\n"));
    }
    write(&lake(folder.path()).join("lock"), "");
    write(&lake(folder.path()).join("book_event"), "a file in the folder's place");
    let analyzer = Analyzer::new().unwrap();
    let error = analyzer.load_logs(folder.path()).unwrap_err();
    assert!(format!("{:?}", std::error::Error::source(&error)).contains("book_event"), "{error:?}");
    fs::remove_file(lake(folder.path()).join("book_event")).unwrap();
    analyzer.load_logs(folder.path()).unwrap();
}

#[test]
fn a_file_of_another_recorder_counts_once_wherever_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let frame = |n: u64| format!("{}\n", snapshot(1, n, A, &[("0.5000", &format!("{n}.00"))], &[]));
    let text = (1..9).map(frame).collect::<String>();
    let at = |name: &str| folder.path().join(name);
    write(&at("a.jsonl"), &text);
    let expected = answers(folder.path());
    let rename = |from: &str, to: &str| {
        fs::create_dir_all(at(to).parent().unwrap()).unwrap();
        fs::rename(at(from), at(to)).unwrap();
    };
    rename("a.jsonl", "2026-05-11/a.jsonl");
    assert_eq!(answers(folder.path()), expected);
    fs::write(at("2026-05-11/a.jsonl.zst"), zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    fs::remove_file(at("2026-05-11/a.jsonl")).unwrap();
    assert_eq!(answers(folder.path()), expected);
}

#[test]
fn segments_of_ours_that_are_gone_are_told_each_time() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    let expected = answers(folder.path());
    // In another folder and another layout it is the same one.
    let moved = folder.path().join("old").join(Path::new(SEGMENT).file_name().unwrap());
    fs::create_dir(folder.path().join("old")).unwrap();
    fs::rename(folder.path().join(SEGMENT), &moved).unwrap();
    let load = || Analyzer::new().unwrap().load_logs(folder.path()).unwrap();
    assert_eq!((load().gone.len(), answers(folder.path())), (0, expected.clone()));
    fs::remove_file(&moved).unwrap();
    assert_eq!((load().gone, load().gone), (vec![moved.clone()], vec![moved]));
    assert_eq!(answers(folder.path()), expected);
}

#[test]
fn a_lake_is_of_one_folder_of_recordings() {
    let [one, two, lake] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    write(&one.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    write(&two.path().join("b.jsonl"), &other_session("s2", 0));
    let load = |logs: &Path| {
        Analyzer::new().unwrap().load(logs, Some(lake.path()), &|_, _| {}).map(|r| r.total().lines)
    };
    assert!(load(one.path()).unwrap() > 0);
    let error = load(two.path()).unwrap_err();
    assert!(error.hint().unwrap().contains("a lake of its own"), "{error:?}");
    assert_eq!(load(one.path()).unwrap(), 0);
}

#[test]
fn rot_that_changes_no_date_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    let expected = answers(folder.path());
    for table in ["span", "presence", "book_event", "stream"] {
        let manifest = fs::read_to_string(lake(folder.path()).join("manifest.json")).unwrap();
        let manifest = manifest.split("\"garbage\"").next().unwrap();
        let is_used =
            |path: &&PathBuf| manifest.contains(&*path.file_name().unwrap().to_string_lossy());
        let parts = files(&lake(folder.path()).join(table));
        let part = parts.iter().find(is_used).unwrap();
        let modified = fs::metadata(part).unwrap().modified().unwrap();
        let whole = fs::read(part).unwrap();
        let mut rotten = whole.clone();
        rotten[whole.len() / 3] ^= 4;
        fs::write(part, rotten).unwrap();
        let file = fs::File::options().write(true).open(part).unwrap();
        file.set_modified(modified).unwrap();
        if table == "presence" {
            // On the command line the question is asked once more.
            let asked = Command::new(env!("CARGO_BIN_EXE_kalshi"))
                .args(["analyze", "book", A, "--log-dir"])
                .arg(folder.path())
                .output()
                .unwrap();
            assert!(asked.status.success(), "{asked:?}");
            assert!(String::from_utf8_lossy(&asked.stderr).contains("built anew"), "{asked:?}");
            continue;
        }
        let found = Analyzer::new().unwrap();
        found.load_logs(folder.path()).unwrap();
        let error = found.reconstruct_book_at(A, crate::tape::at(20)).unwrap_err();
        assert!(format!("{error:?}").contains("Damaged"), "{table}: {error:?}");
        assert!(!found.has_whole_lakes());
        // It is gone, and the next look builds all anew.
        assert_eq!(answers(folder.path()), expected);
    }
}

#[test]
fn a_folder_without_recordings_gets_no_lake() {
    let folder = tempfile::tempdir().unwrap();
    Analyzer::new().unwrap().load_logs(folder.path()).unwrap();
    assert!(!lake(folder.path()).exists());
}

#[test]
fn files_of_one_name_in_two_folders_stay_two() {
    let folder = tempfile::tempdir().unwrap();
    let frame = |n: u64| format!("{}\n", snapshot(1, n, A, &[("0.5000", &format!("{n}.00"))], &[]));
    for host in ["a", "b"] {
        write(&folder.path().join(host).join("x.jsonl"), &(1..9).map(frame).collect::<String>());
    }
    let count = || {
        let analyzer = Analyzer::new().unwrap();
        analyzer.load_logs(folder.path()).unwrap();
        analyzer.markets().unwrap()[0].snapshots
    };
    assert_eq!(count(), 16);
    write(&folder.path().join("a/x.jsonl"), &frame(9));
    assert_eq!(count(), 17);
}

/// A lake that is built anew goes on with its numbers, so that older readers find no other rows
/// under a name that they know; and its second attempt finds none of its first.
#[test]
fn a_lake_that_is_built_anew_gives_no_name_twice() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(SEGMENT), &(lines().join("\n") + "\n"));
    let expected = answers(folder.path());
    let parts = || {
        let all = files(&lake(folder.path()));
        all.into_iter()
            .filter(|p| p.extension().is_some_and(|e| e == "parquet"))
            .collect::<Vec<_>>()
    };
    let before = parts();
    fs::write(some_part(&lake(folder.path())), "PAR1").unwrap();
    assert_eq!(answers(folder.path()), expected);
    let content = |path: &PathBuf| fs::read(path).unwrap();
    let after = parts();
    assert!(before.iter().all(|part| after.contains(part)), "kept for an hour");
    assert_eq!(after.len(), 2 * before.len());
    assert!(before.iter().any(|part| content(part) == b"PAR1"));
}

/// Bare frames say when they happened only from the first change on.
#[test]
fn what_has_no_time_yet_waits_for_it() {
    let frames = [
        snapshot(1, 1, A, &[("0.5000", "1.00")], &[]),
        snapshot(1, 2, B, &[("0.4000", "2.00")], &[]),
        delta(1, 3, A, "yes", "0.5000", "1.00"),
        // A new connection, and one more before the first time of it.
        snapshot(1, 1, A, &[("0.5100", "1.00")], &[]),
        snapshot(1, 1, A, &[("0.5200", "1.00")], &[]),
        "rubbish".to_owned(),
        delta(1, 2, A, "yes", "0.5200", "1.00"),
        delta(1, 3, A, "yes", "0.5200", "2.00"),
    ];
    let often = tempfile::tempdir().unwrap();
    let mut last = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        write(&often.path().join("other.jsonl"), &format!("{frame}\n"));
        let load = || Analyzer::new().unwrap().load_logs(often.path()).unwrap();
        let read = load().total().lines;
        assert_eq!(read, [1, 2, 3, 1, 2, 3, 4, 1][n], "line {n}");
        assert_eq!(load().total().lines, 0);
        if n > 1 {
            let once = tempfile::tempdir().unwrap();
            write(&once.path().join("other.jsonl"), &(frames[..=n].join("\n") + "\n"));
            last = answers(often.path());
            assert!(last.len() < 1_000, "{n}");
            same(&last, &answers(once.path()));
        }
    }
    assert!(last.iter().all(|row| !row.contains("1970")), "{last:#?}");
}

/// Connections of bare frames, each of a market of its own, and in the end one more that has no
/// time yet.
#[test]
fn many_connections_of_one_file_begin_without_a_time() {
    let connection = |n: u32| {
        let market = format!("KXA-26MAY11-T{n}");
        let begin = format!(
            "{{\"type\":\"subscribed\",\"id\":1,\"msg\":{{\"channel\":\"orderbook_delta\",\"sid\":1}}}}\n{}\n",
            snapshot(1, 1, &market, &[("0.5000", "1.00")], &[])
        );
        let change = delta(1, 2, &market, "yes", "0.5000", "1.00") + "\n";
        (begin, change)
    };
    let [once, often] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (begin, change) = connection(1_500);
    let mut text: String = (0..1_500).map(connection).map(|(begin, rest)| begin + &rest).collect();
    text += &begin;
    write(&often.path().join("other.jsonl"), &text);
    let load = || Analyzer::new().unwrap().load_logs(often.path()).unwrap().total().lines;
    assert_eq!(load(), 3 * 1_500 + 2);
    write(&often.path().join("other.jsonl"), &change);
    assert_eq!(load(), 3);
    write(&once.path().join("other.jsonl"), &(text + &change));
    assert!(answers(often.path()) == answers(once.path()));
}

/// As of a recorder of many markets that keeps no time: the first has one after all snapshots.
#[test]
fn what_waits_long_for_its_time_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.jsonl");
    let frame = |n: u64| snapshot(1, n, A, &[("0.5000", "1.00")], &[]) + "\n";
    let text: String = (1..12_000).map(frame).collect();
    assert!(text.len() > 1 << 20);
    write(&path, &text);
    let load = || Analyzer::new().unwrap().load_logs(folder.path()).unwrap().total().lines;
    assert_eq!(load(), 11_999);
    assert_eq!(load(), 0);
    write(&path, &frame(12_000));
    assert_eq!(load(), 12_000);
    write(&path, &(delta(1, 12_001, A, "yes", "0.5000", "1.00") + "\n"));
    assert_eq!(load(), 12_001);
    write(&path, &(delta(1, 12_002, A, "yes", "0.5000", "1.00") + "\n"));
    assert_eq!(load(), 1);
    let unknown: Vec<_> =
        answers(folder.path()).into_iter().filter(|row| row.contains("'1970-")).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert_eq!(market(folder.path(), A).snapshots, 12_000);
}

/// A market that comes first on a connection whose time is not known yet.
#[test]
fn a_market_may_be_new_where_there_is_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let subscribed = r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}"#;
    let mut frames = Vec::new();
    for ticker in [A, B] {
        frames.push(subscribed.to_owned());
        frames.push(snapshot(1, 1, ticker, &[("0.5000", "1.00")], &[]));
        frames.push(delta(1, 2, ticker, "yes", "0.5000", "1.00"));
    }
    write(&folder.path().join("other.jsonl"), &(frames.join("\n") + "\n"));
    for ticker in [A, B] {
        assert_eq!(market(folder.path(), ticker).deltas, 1);
    }
}

/// While one connection waits for a time, another goes on.
#[test]
fn what_waits_does_not_disturb_the_order_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.jsonl");
    let line = |recv: &str, conn: u32, frame: String| {
        format!("{{{recv}\"conn\":{conn},\"frame\":{frame}}}\n")
    };
    let timed = r#""recv_ns":1778477600000000000,"#;
    write(&path, &line(timed, 1, snapshot(1, 1, A, &[("0.4100", "1.00")], &[])));
    write(&path, &line(timed, 1, delta(1, 2, A, "yes", "0.4100", "7.00")));
    write(&path, &line("", 2, snapshot(1, 1, B, &[("0.4100", "1.00")], &[])));
    write(&path, &line(timed, 1, delta(1, 3, A, "yes", "0.4100", "-7.00")));
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(folder.path()).unwrap();
    let book = analyzer.reconstruct_book(A).unwrap();
    assert_eq!(book.book.yes_bid().unwrap().1.to_string(), "1.00");
    // An event tells the time as well as a frame does.
    let gap =
        r#"{"recv_ns":1778477700000000000,"conn":2,"event":"gap","sid":1,"expected":2,"got":3}"#;
    write(&path, &format!("{gap}\n"));
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(folder.path()).unwrap();
    analyzer.query("SELECT min(ts), max(ts_until) FROM bbo").unwrap();
    let book = analyzer.reconstruct_book_at(B, 1_778_477_650_000_000_000);
    assert!(matches!(book, Err(Error::TooEarly { .. })), "{book:?}");
}

/// A compressed segment is whole: where it lies, and its date, say nothing of what is in it.
#[test]
fn a_compressed_segment_that_moves_takes_nothing_with_it() {
    let tape = Tape::session("aaaaaaaaaaaa")
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[("0.4500", "9.00")], &[]))
        .file("2026-05-11/20260511T053320Z-aaaaaaaaaaaa-0000.sealed.jsonl")
        .and_session("bbbbbbbbbbbb", 0)
        .connected(5, 1)
        .frame(6, 1, snapshot(2, 1, B, &[("0.4500", "9.00")], &[]))
        .file("2026-05-11/20260511T053325Z-bbbbbbbbbbbb-0000.sealed.jsonl");
    let day = tape.path().join("2026-05-11");
    for path in files(&day) {
        let name =
            path.file_name().unwrap().to_string_lossy().replace(".sealed.jsonl", ".jsonl.zst");
        let text = zstd::encode_all(&*fs::read(&path).unwrap(), 3).unwrap();
        fs::write(day.join(name), text).unwrap();
        fs::remove_file(path).unwrap();
    }
    let before = answers(tape.path());
    let [first, second] = &files(&day)[..] else { panic!("{:?}", files(&day)) };
    fs::remove_file(first).unwrap();
    let archive = tape.path().join("old");
    fs::create_dir(&archive).unwrap();
    fs::rename(second, archive.join(second.file_name().unwrap())).unwrap();
    same(&answers(tape.path()), &before);
}

/// What cannot be opened today may be tomorrow.
#[cfg(unix)]
#[test]
fn a_file_that_could_not_be_opened_is_read_when_it_can_be() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.jsonl");
    let book = |seq| {
        let snapshot = snapshot(1, seq, A, &[("0.5000", "1.00")], &[]);
        let delta = delta(1, seq + 1, A, "yes", "0.5000", "1.00");
        format!("{snapshot}\n{delta}\n")
    };
    write(&path, &book(1));
    write(&folder.path().join("b.jsonl"), &(snapshot(1, 1, B, &[("0.5000", "1.00")], &[]) + "\n"));
    let allow = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    if fs::File::open(&path).is_ok() {
        eprintln!("skipped: whoever runs this may open every file");
        return;
    }
    for _ in 0..2 {
        let analyzer = Analyzer::new().unwrap();
        let report = analyzer.load_logs(folder.path()).unwrap();
        assert!(report.is_damaged());
        assert_eq!(analyzer.markets().unwrap().len(), 1);
    }
    allow(0o600);
    assert_eq!(market(folder.path(), A).snapshots, 1);
    // Grown, and out of reach for a while.
    write(&path, &book(3));
    allow(0o000);
    assert_eq!(market(folder.path(), A).snapshots, 1);
    allow(0o600);
    assert_eq!(market(folder.path(), A).snapshots, 2);
    let analyzer = Analyzer::new().unwrap();
    assert!(!analyzer.load_logs(folder.path()).unwrap().is_damaged());
    let sessions = analyzer.query("SELECT count(*) FROM sessions").unwrap();
    let count = sessions[0].column(0).as_any().downcast_ref::<Int64Array>().unwrap().value(0);
    assert_eq!(count, 2);
}

#[test]
fn oddities_are_told_by_whoever_did_not_meet_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.jsonl");
    let load = || {
        let analyzer = Analyzer::new().unwrap();
        let report = analyzer.load_logs(folder.path()).unwrap();
        let rows = analyzer.query("SELECT r::VARCHAR FROM (FROM oddities) r").unwrap();
        let rows: Vec<String> = rows[0]
            .column(0)
            .as_any()
            .downcast_ref::<StringArray>()
            .map_or_else(Vec::new, |texts| {
                texts.iter().map(|text| text.unwrap().to_owned()).collect()
            });
        (report.earlier_oddities, rows)
    };
    let frame = |n: u64| snapshot(1, n, A, &[("0.5000", "1.00")], &[]);
    let second = frame(2);
    let (start, end) = second.split_at(20);
    write(&path, &format!("{}\nrubbish\n\nrubbish\n{start}", frame(1)));
    let rubbish = "{'session': other, 'kind': rubbish line, 'times': 2, 'segment': other, 'line': 2, 'example': ";
    for earlier in [0, 3] {
        let (told, rows) = load();
        assert_eq!((told, rows.len()), (earlier, 2), "{rows:?}");
        assert!(rows[0].starts_with(rubbish), "{rows:?}");
        assert!(rows[1].contains("torn last line, 'times': 1"), "{rows:?}");
    }
    write(&path, &format!("{end}\n"));
    let (_, rows) = load();
    assert!(rows.len() == 1 && rows[0].starts_with(rubbish), "{rows:?}");
    assert_eq!(load(), (2, rows));
}

#[test]
fn files_of_one_name_in_two_archives_are_one_only_where_they_are_the_same() {
    let frame = |n: u64, size| {
        let frame = snapshot(1, n, A, &[("0.5000", size)], &[]);
        format!("{{\"recv_ns\":{},\"frame\":{frame}}}\n", crate::tape::at(1))
    };
    let text = |size| (1..9).map(|n| frame(n, size)).collect::<String>();
    let [one, other, copy, link] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    write(&one.path().join("x.jsonl"), &text("1.00"));
    write(&other.path().join("x.jsonl"), &text("2.00"));
    write(&copy.path().join("x.jsonl"), &text("1.00"));
    let compressed = zstd::encode_all(text("1.00").as_bytes(), 3).unwrap();
    fs::write(link.path().join("x.jsonl.zst"), compressed).unwrap();
    let count = |folders: &[&Path]| {
        let analyzer = Analyzer::new().unwrap();
        for folder in folders {
            analyzer.load_logs(folder).unwrap();
        }
        let snapshots = analyzer.query("SELECT sum(snapshots)::VARCHAR FROM markets").unwrap();
        let book = analyzer.reconstruct_book(A).unwrap();
        assert_eq!(book.book.levels(kalshi_orderbook::protocol::Side::Yes).count(), 1);
        format!("{:?}", snapshots[0].column(0)).contains("\"16\"")
    };
    assert!(!count(&[one.path(), copy.path()]));
    assert!(count(&[one.path(), other.path()]));
    // Of a compressed one, it is not known what the last line says; but it is the same file.
    assert!(count(&[one.path(), link.path()]));
    assert!(!count(&[link.path(), &link.path().join("x.jsonl.zst")]));
}

#[test]
fn times_at_the_ends_of_what_there_is_are_times() {
    let folder = tempfile::tempdir().unwrap();
    for (n, start) in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 2].into_iter().enumerate() {
        let (name, market) = (format!("s{n}"), format!("KXEND-26-{n}"));
        let line = |later: i64, rest: &str| {
            format!("{{\"recv_ns\":{},\"conn\":1,{rest}}}\n", start.saturating_add(later))
        };
        let event = format!(
            r#""event":"session","format":1,"session":"{name}","segment":0,"version":"0","env":"prod","host":"h","config":{{}}"#
        );
        let frame = |n, market: &str| {
            format!(
                "\"frame\":{}",
                snapshot(1, n, market, &[("0.5000", "1.00")], &[("0.4000", "1.00")])
            )
        };
        let text = [
            line(0, &event),
            line(0, &frame(1, &market)),
            line(1, &frame(2, "KXEND-26-ALL")),
            line(2, &format!("\"frame\":{}", delta(1, 3, &market, "yes", "0.5000", "1.00"))),
            line(2, &format!("\"frame\":{}", delta(1, 9, &market, "yes", "0.5000", "1.00"))),
            line(3, &frame(10, &market)),
            line(i64::MAX, &format!("\"frame\":{}", delta(1, 11, &market, "no", "0.4000", "1.00"))),
        ];
        write(&folder.path().join(format!("{name}.jsonl")), &text.concat());
    }
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(folder.path()).unwrap();
    for n in 0..5 {
        let market = format!("KXEND-26-{n}");
        assert_eq!(analyzer.reconstruct_book(&market).unwrap().seq, 11, "{market}");
        for at in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            drop(analyzer.reconstruct_book_at(&market, at));
        }
    }
    for table in
        ["book_event", "quote", "span", "presence", "hole", "connection", "session", "stream"]
    {
        let lake = lake(folder.path()).join(table);
        assert!(!files(&lake).is_empty(), "{table}");
    }
}

#[test]
fn an_empty_snapshot_of_an_empty_book_changes_nothing() {
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[], &[]))
        .frame(2, 1, snapshot(2, 2, A, &[], &[]))
        .frame(3, 1, delta(2, 3, A, "yes", "0.4600", "1.00"))
        .frame(4, 1, delta(2, 4, A, "yes", "0.4600", "-1.00"))
        .frame(5, 1, snapshot(2, 5, A, &[], &[]))
        .frame(6, 1, snapshot(2, 6, A, &[("0.4700", "1.00")], &[]))
        .file("x.jsonl");
    let found = tape.load();
    let count = |view: &str| {
        let rows = found.query(&format!("SELECT count(*)::VARCHAR FROM {view}")).unwrap();
        format!("{:?}", rows[0].column(0))
    };
    assert!(count("bbo").contains("\"4\""), "{}", count("bbo"));
    assert!(count("spans").contains("\"2\""), "{}", count("spans"));
    let book = found.reconstruct_book_at(A, crate::tape::at(5)).unwrap();
    assert_eq!((book.seq, book.book.is_empty()), (5, true));
}
