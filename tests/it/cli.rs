//! The built binary: standard output, standard error and exit code.

use std::process::{Command, Output, Stdio};

use crate::tape::{A, B, Tape, at, delta, snapshot, trade};

fn tape() -> Tape {
    Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[("0.4700", "3.00")], &[("0.4800", "2.00")]))
        .frame(2, 1, delta(2, 2, A, "no", "0.4600", "12.50"))
        .frame(5, 1, delta(2, 4, A, "no", "0.4600", "1.00"))
        .file("a.jsonl")
}

fn kalshi(tape: &Tape, args: &[&str]) -> Output {
    Command::new(assert_cmd::cargo::cargo_bin!("kalshi"))
        .args(args)
        .current_dir(tape.path())
        .env("KALSHI_LOG_DIR", tape.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_book_as_json_has_the_keys_of_the_contract() {
    let time = at(3).to_string();
    let output = kalshi(&tape(), &["analyze", "book", A, "--at", &time, "--format", "json"]);
    assert_eq!(
        out(&output),
        format!(
            r#"{{"ticker":"{A}","at_ns":{time},"session":"s1","conn":1,"sid":2,"seq":2,"recv_ns":{},"ts_ms":1778477600500,"yes":[["0.4700","3.00"]],"no":[["0.4800","2.00"],["0.4600","12.50"]],"yes_bid":"0.4700","yes_ask":"0.5200","mid":"0.4950","spread":"0.0500","status":"stale","stale_since_ns":{},"stale_reason":"frames of its subscription are missing"}}
"#,
            at(2),
            at(2) + 1
        )
    );
    let time = at(2).to_string();
    let output = kalshi(&tape(), &["analyze", "book", A, "--at", &time, "--format", "json"]);
    assert!(out(&output).ends_with("\"status\":\"ok\"}\n"), "{}", out(&output));
}

#[test]
fn a_book_for_programs_and_for_reading() {
    let time = at(2).to_string();
    let output = kalshi(&tape(), &["analyze", "book", A, "--at", &time]);
    assert_eq!(
        out(&output),
        [
            "ticker,at,session,conn,sid,seq,side,price,size,status,stale_since",
            "KXA-26MAY11-T1,2026-05-11T05:33:22.000000000Z,s1,1,2,2,yes,0.4700,3.00,ok,",
            "KXA-26MAY11-T1,2026-05-11T05:33:22.000000000Z,s1,1,2,2,no,0.4800,2.00,ok,",
            "KXA-26MAY11-T1,2026-05-11T05:33:22.000000000Z,s1,1,2,2,no,0.4600,12.50,ok,",
            "",
        ]
        .join("\n")
    );
    let output = kalshi(&tape(), &["analyze", "book", A, "--at", &time, "--format", "table"]);
    let text = out(&output);
    for part in ["0.5400     12.50  14.50", "mid 0.4950  spread 0.0500", "status ok"] {
        assert!(text.contains(part), "{text}");
    }
}

/// Two markets with books, one without.
fn several() -> Tape {
    Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[("0.4700", "3.00")], &[("0.4800", "2.00")]))
        .frame(2, 1, snapshot(2, 2, B, &[], &[]))
        .frame(3, 1, trade(3, 1, "KXA-26MAY11-T3", "t1", "0.4000", "1.00", ""))
        .file("a.jsonl")
}

#[test]
fn books_of_several_markets_are_an_array() {
    let tape = several();
    let json = |args: &[&str]| -> serde_json::Value {
        let args = [&["analyze", "book", "--format", "json"], args].concat();
        serde_json::from_str(&out(&kalshi(&tape, &args))).unwrap()
    };
    assert_eq!(json(&[A])["ticker"], A);
    assert_eq!(json(&[A, B, A]), serde_json::json!([json(&[A]), json(&[B])]));
    assert_eq!(json(&["kxa-*"]), json(&[A, B]));
    // A glob may stand for one market; what comes is known from what was asked.
    assert_eq!(json(&["*T1"]), serde_json::json!([json(&[A])]));

    let glob = |more: &[&str]| {
        kalshi(&tape, &[&["--strict", "analyze", "book", "KXA*", "--format"], more].concat())
    };
    let output = glob(&["csv"]);
    let lines = out(&output).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[3].ends_with(",s1,1,2,2,,,,empty,"), "{lines:?}");
    assert_eq!(output.status.code(), Some(3));
    let warning = "warning: no order book of market `KXA-26MAY11-T3` is recorded\n";
    assert_eq!(err(&output), warning);
    let text = out(&glob(&["table"]));
    assert!(text.contains(&format!("status ok\n\n{B} at ")), "{text}");
    let early = glob(&["csv", "--at", &at(0).to_string()]);
    assert_eq!(early.status.code(), Some(1));
    assert!(err(&early).contains("not yet at"), "{}", err(&early));
    for wanted in [[A, "KXB"], [A, "KXB-*"]] {
        let output = kalshi(&tape, &[&["analyze", "book"], &wanted[..]].concat());
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""));
    }
}

#[test]
fn holes_are_told_and_strict_makes_them_the_exit_code() {
    let newest = kalshi(&tape(), &["analyze", "book", A]);
    assert_eq!(newest.status.code(), Some(0));
    assert!(err(&newest).contains("warning: the book is stale since"), "{}", err(&newest));
    for args in [vec!["book", A], vec!["spread", A], vec!["imbalance", A], vec!["gaps"]] {
        let args = [vec!["analyze", "--strict"], args].concat();
        let output = kalshi(&tape(), &args);
        assert_eq!(output.status.code(), Some(3), "{args:?} {}", err(&output));
    }
    let (from, to) = (at(1).to_string(), at(2).to_string());
    let whole =
        kalshi(&tape(), &["--strict", "analyze", "spread", A, "--from", &from, "--to", &to]);
    assert_eq!(whole.status.code(), Some(0), "{}", err(&whole));
}

#[test]
fn errors_are_told_once_with_a_hint() {
    let output = kalshi(&tape(), &["analyze", "book", "KXA-26MAY11-T2"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).ends_with(&format!(
            "error: nothing of market `KXA-26MAY11-T2` is recorded\nhint: similar names are recorded: {A}\n"
        )),
        "{}",
        err(&output)
    );
    let output = kalshi(&tape(), &["analyze", "markets", "--log-dir", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        err(&output),
        "error: load logs from `nowhere`: look for recordings: there is no log folder `nowhere`\n\
         hint: give the folder of the recordings with --log-dir, or set KALSHI_LOG_DIR\n"
    );
    let tape = tape();
    let file = tape.path().join("a.jsonl");
    let output = kalshi(&tape, &["analyze", "markets", "--lake-dir", &file.to_string_lossy()]);
    assert!(
        err(&output).contains("or where --lake-dir (KALSHI_LAKE_DIR) says"),
        "{}",
        err(&output)
    );
    let output = kalshi(&tape, &["analyze", "sql", "SELECT nonsense"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("error: run the query: Binder Error"), "{}", err(&output));
    assert!(!err(&output).contains("Error code"), "{}", err(&output));
}

#[test]
fn sql_is_printed_in_each_format() {
    let query = "SELECT ticker, price, seq, NULL AS nothing FROM book_events WHERE side = 'yes'";
    let print = |format| out(&kalshi(&tape(), &["analyze", "sql", query, "--format", format]));
    assert_eq!(print("csv"), format!("ticker,price,seq,nothing\n{A},0.4700,1,\n"));
    assert_eq!(
        print("json"),
        format!("[{{\"ticker\":\"{A}\",\"price\":\"0.4700\",\"seq\":1,\"nothing\":null}}]\n")
    );
    assert!(print("table").contains(&format!("{A}  0.4700    1")), "{}", print("table"));
}

#[test]
fn nested_values_are_json_of_their_own() {
    let query = "SELECT {'a': 1, 'b': [0.5::DECIMAL(6,4), NULL], 'c': 'x\"y'} AS s, [true] AS l,
                 MAP {'k': {'d': 1.5::DOUBLE}, 'm': NULL} AS m, NULL::INTEGER[] AS n, row(1, 'a') AS r,
                 [1, 2]::INTEGER[2] AS f, MAP {1: []} AS i, [[DATE '2026-05-11']] AS t, 2::HUGEINT AS h";
    let output = kalshi(&tape(), &["analyze", "sql", query, "--format", "json"]);
    let expected = r#"[{"s":{"a":1,"b":["0.5000",null],"c":"x\"y"},"l":[true],"m":{"k":{"d":1.5},"m":null},"n":null,"r":[1,"a"],"f":[1,2],"i":{"1":[]},"t":[["2026-05-11"]],"h":2}]"#;
    assert_eq!(out(&output), format!("{expected}\n"), "{}", err(&output));
}

#[test]
fn usage_errors_exit_with_two_and_help_teaches() {
    for args in [
        vec!["analyze"],
        vec!["analize", "markets"],
        vec!["analyze", "bok", A],
        vec!["analyze", "book"],
        vec!["analyze", "book", A, "--at", "yesterday"],
        vec!["analyze", "spread", A, "--every", "0s"],
        vec!["analyze", "spread", A, "--from", "2026-05-11", "--to", "2026-05-11"],
        vec!["analyze", "vwap", A, "--every", "1ns"],
        vec!["analyze", "gaps", "--memory", "4"],
        vec!["analyze", "gaps", "--memory", "4kB"],
        vec!["compact", "--threads", "0"],
        vec!["export-parquet", A, "a.parquet", "--from", "2026-05-12", "--to", "2026-05-11"],
        vec!["analyze", "spread", A, "--from", "20260511"],
        vec!["export-parquet", A, "a.xls"],
        vec!["analyze", "sql", "SELECT 1", "--out", "a.txt"],
        vec!["analyze", "sql", "SELECT 1", "--force"],
        vec!["export-parquet", A],
        vec!["--no-such-flag"],
        vec!["ingest", A, "--channels", ""],
        vec!["ingest", A, "--channels", "trade,,ticker"],
        vec!["ingest", A, "--env", "sandbox", "--queue", "0"],
        vec!["ingest", A, "--env", "sandbox", "--segment-mb", "0"],
        vec!["ingest", "--env", "sandbox"],
    ] {
        assert_eq!(kalshi(&tape(), &args).status.code(), Some(2), "{args:?}");
    }
    let help = kalshi(&tape(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["ingest", "analyze", "export-parquet", "Examples:", "Exit codes"] {
        assert!(out(&help).contains(word), "{word}");
    }
}

#[test]
fn an_export_is_told_and_not_written_over() {
    let tape = tape();
    let file = tape.path().join("b.parquet");
    let file = file.to_str().unwrap();
    let output = kalshi(&tape, &["export-parquet", A, file]);
    assert_eq!(out(&output), format!("{file}: 4 rows of book_events\n"), "{}", err(&output));
    let output = kalshi(&tape, &["export-parquet", A, file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).ends_with("hint: --force overwrites it\n"), "{}", err(&output));
    let output = kalshi(&tape, &["export-parquet", A, file, "--force", "--table", "bbo"]);
    assert_eq!(out(&output), format!("{file}: 1 rows of bbo\n"), "{}", err(&output));
}

#[test]
fn oddities_of_earlier_times_are_told_where_the_archive_is_looked_after() {
    let tape = Tape::session("s1").line("rubbish").connected(0, 1).line("rubbish").file("a.jsonl");
    let told = |args: &[&str]| err(&kalshi(&tape, args));
    let now = told(&["compact"]);
    assert!(now.contains("rubbish line: 2 times") && now.lines().count() == 1, "{now}");
    let earlier = "warning: oddities in what was digested earlier: 2; \
                   `kalshi analyze sql \"FROM oddities\"` names them\n";
    assert_eq!((told(&["compact"]).as_str(), told(&["verify"]).as_str()), (earlier, earlier));
    assert_eq!(told(&["analyze", "markets"]), "");
}

#[test]
fn of_many_files_that_are_not_read_some_are_named() {
    let tape = tape();
    for n in 0..8 {
        std::fs::write(tape.path().join(format!("note-{n}.txt")), "").unwrap();
        std::fs::write(tape.path().join(format!("torn-{n}.jsonl.zst")), "no frame").unwrap();
    }
    for (wanted, more) in
        [("read up to its damage", "and 3 more damaged"), ("not read", "and 3 more such")]
    {
        let text = err(&kalshi(&tape, &["compact"]));
        let told = (text.matches(wanted).count(), text.matches(more).count());
        assert_eq!(told, (5, 1), "{text}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let tape = Tape::session("s1").file("a.jsonl");
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("kalshi"))
        .args(["analyze", "sql", "SELECT range FROM range(1000000)"])
        .env("KALSHI_LOG_DIR", tape.path())
        .current_dir(tape.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
}

#[test]
fn a_reader_that_goes_away_does_not_hide_holes() {
    let tape = tape();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("kalshi"))
        .args(["analyze", "gaps", "--strict"])
        .env("KALSHI_LOG_DIR", tape.path())
        .current_dir(tape.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn tables_have_digits_for_reading_and_csv_has_all() {
    let query = "SELECT unnest([1e-9, 0.024658786983854614, 1.5]) AS x";
    let print = |format| out(&kalshi(&tape(), &["analyze", "sql", query, "--format", format]));
    assert_eq!(print("csv"), "x\n1e-9\n0.024658786983854614\n1.5\n");
    let table = print("table");
    for number in ["1.000e-9", "0.024659", "1.500000"] {
        assert!(table.contains(number), "{table}");
    }
}

#[test]
fn a_stale_book_says_so_to_programs_too() {
    let output = kalshi(&tape(), &["analyze", "book", A]);
    let text = out(&output);
    assert!(text.contains("no,0.4600,12.50,stale,2026-05-11T05:33:22.000000001Z\n"), "{text}");
}

#[test]
fn without_rows_the_columns_are_still_told() {
    let query = ["analyze", "sql", "SELECT ticker, price FROM trades"];
    let gaps = ["analyze", "gaps"];
    let whole = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[("0.4700", "3.00")], &[]))
        .file("a.jsonl");
    for (args, csv) in [(&query[..], "ticker,price\n"), (&gaps[..], "kind,session,conn,sid,")] {
        let print = |format| out(&kalshi(&whole, &[args, &["--format", format]].concat()));
        let text = print("csv");
        assert!(text.starts_with(csv) && text.lines().count() == 1, "{text}");
        assert_eq!((print("json").as_str(), print("table").as_str()), ("[]\n", "(no rows)\n"));
    }
}

#[test]
fn times_without_a_zone_are_utc_and_globs_are_several_markets() {
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, snapshot(2, 1, A, &[("0.4700", "3.00")], &[("0.5100", "2.00")]))
        .frame(1, 1, snapshot(2, 2, B, &[("0.4700", "3.00")], &[("0.5100", "2.00")]))
        .frame(10, 1, delta(2, 3, A, "no", "0.4600", "12.50"))
        .file("a.jsonl");
    let range = ["--from", "2026-05-11 05:33:22", "--to", "2026-05-11T05:33:24"];
    let spread = kalshi(&tape, &[&["analyze", "spread", "kxa-*"][..], &range].concat());
    // Exact cents.
    let line = |ticker| format!("{ticker},,2.0,2.0,2.0,2.00,2.00,");
    let text = out(&spread);
    assert!(text.contains(&line(A)) && text.contains(&line(B)), "{text} {}", err(&spread));
    assert_eq!((text.lines().count(), err(&spread).as_str()), (3, ""));
    let nothing = kalshi(&tape, &["analyze", "spread", "KXB*"]);
    assert!(
        err(&nothing).contains("error: no recorded market matches `KXB*`"),
        "{}",
        err(&nothing)
    );
}

#[test]
fn a_gap_without_a_time_has_none() {
    let frame = |seq: u32, kind: &str, more: &str| {
        format!(
            r#"{{"type":"orderbook_{kind}","sid":1,"seq":{seq},"msg":{{"market_ticker":"{A}",{more}}}}}"#
        )
    };
    let tape = Tape::new()
        .line(frame(1, "snapshot", r#""yes":[[47,3]]"#))
        .line(frame(3, "delta", r#""price":47,"delta":1,"side":"yes""#))
        .file("a.jsonl");
    let output = kalshi(&tape, &["analyze", "gaps"]);
    assert!(out(&output).contains(",2,3,1,,,,false,true,"), "{} {}", out(&output), err(&output));
    let output = kalshi(&tape, &["analyze", "sql", "SELECT ts_from, ts_found FROM gaps"]);
    assert_eq!(out(&output), "ts_from,ts_found\n,\n");
}

#[test]
fn a_ticker_in_the_place_of_a_subcommand_is_told_where_it_belongs() {
    let output = kalshi(&tape(), &[A, "--env", "sandbox"]);
    assert_eq!(output.status.code(), Some(2));
    let (record, ask) = (format!("tip: `kalshi ingest {A}` "), "tip: `kalshi analyze book ");
    assert!(err(&output).contains(&record) && err(&output).contains(ask), "{}", err(&output));
    for (args, tips) in [(&["analyze", A][..], 1), (&["analise", "gaps"], 0)] {
        let text = err(&kalshi(&tape(), args));
        let told = (text.matches(ask).count(), text.matches("kalshi ingest").count());
        assert_eq!(told, (tips, 0), "{text}");
    }
}
