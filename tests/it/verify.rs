//! `kalshi verify`: its formats and its exit code.

use std::process::{Command, Stdio};

use crate::tape::{A, Tape, delta, snapshot};

/// A sound file, and one with an undeclared hole; a file that is no segment.
fn tape() -> Tape {
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[("0.4700", "3.00")], &[]))
        .file("a.jsonl");
    let tape = tape
        .and_session("s2", 0)
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[("0.4700", "3.00")], &[]))
        .frame(2, 1, delta(2, 4, A, "yes", "0.4700", "1.00"))
        .file("b.jsonl");
    std::fs::write(tape.path().join("notes.txt"), "").unwrap();
    tape
}

fn verify(tape: &Tape, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("kalshi"));
    command.arg("verify").args(args).current_dir(tape.path()).stdin(Stdio::null());
    command.arg("--log-dir").arg(".");
    command
}

#[test]
fn programs_get_rows_of_all_that_was_found() {
    let tape = tape();
    for args in [&["--format", "csv"][..], &[]] {
        let output = verify(&tape, args).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let bytes = |file| std::fs::metadata(tape.path().join(file)).unwrap().len();
        let expected = format!(
            "kind,path,session,state,lines,frames,events,torn,repeats,bytes,conn,sid,expected,got,detail\n\
             segment,./a.jsonl,s1,open,3,1,2,0,0,{},,,,,\n\
             segment,./b.jsonl,s2,open,4,2,2,0,0,{},,,,,\n\
             hole,,s2,UNDECLARED,,,,,,,1,2,2,4,\n\
             not read,./notes.txt,,,,,,,,,,,,,\n",
            bytes("a.jsonl"),
            bytes("b.jsonl")
        );
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

#[test]
fn a_table_tells_the_verdict() {
    let output = verify(&tape(), &["--format", "table"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("hole      UNDECLARED: session s2 conn 1 sid 2, 2 messages from seq 2"));
    assert!(
        text.ends_with("2 segments: 0 proven, 2 open, 0 damaged; 3 frames, 1 holes: DAMAGED\n")
    );
}

#[test]
fn a_reader_that_goes_away_does_not_hide_damage() {
    let tape = tape();
    for format in ["csv", "table", "json"] {
        let mut command = verify(&tape, &["--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(3), &[][..]), "{format}");
    }
}
