//! The tape into rows: what is applied, what is a hole, what is counted.

use kalshi_orderbook::{analysis::Analyzer, lake::Outcome};

use crate::tape::{A, B, T0, Tape, at, delta, snapshot, text, ticker, trade};

const YES: &[(&str, &str)] = &[("0.4600", "5.00"), ("0.4700", "3.00")];
const NO: &[(&str, &str)] = &[("0.4800", "2.00")];

fn book_at(analyzer: &Analyzer, ticker: &str, seconds: i64) -> (String, &'static str) {
    let found = analyzer.reconstruct_book_at(ticker, at(seconds)).unwrap();
    let status = found.status.as_str();
    (text(&found.book), status)
}

/// One market, recorded well.
fn plain() -> Tape {
    Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":2}}"#)
        .frame(2, 1, snapshot(2, 1, A, YES, NO))
        .frame(3, 1, delta(2, 2, A, "yes", "0.4700", "-3.00"))
        .frame(4, 1, delta(2, 3, A, "no", "0.4900", "1.50"))
}

#[test]
fn a_book_is_what_its_snapshot_and_deltas_make_it_at_each_instant() {
    let tape = plain().event(9, 1, r#""disconnected","cause":"stopped""#).file("a.jsonl");
    let analyzer = tape.load();
    assert_eq!(
        book_at(&analyzer, A, 2),
        ("yes 0.4700x3.00 0.4600x5.00 no 0.4800x2.00".into(), "ok")
    );
    assert_eq!(book_at(&analyzer, A, 3), ("yes 0.4600x5.00 no 0.4800x2.00".into(), "ok"));
    assert_eq!(book_at(&analyzer, A, 8).0, "yes 0.4600x5.00 no 0.4900x1.50 0.4800x2.00");
    assert_eq!(book_at(&analyzer, A, 9).1, "stale");
    let newest = analyzer.reconstruct_book(A).unwrap();
    assert_eq!((newest.seq, newest.status.as_str()), (3, "ok"));
    assert_eq!((newest.recv_ns, newest.event_ns), (Some(at(4)), Some(1_778_477_600_500_000_000)));
    let second = analyzer.reconstruct_book_at_seq(A, 2).unwrap();
    assert_eq!(
        (text(&second.book), second.at_ns),
        ("yes 0.4600x5.00 no 0.4800x2.00".into(), at(3))
    );
    let early = analyzer.reconstruct_book_at(A, at(1)).unwrap_err().to_string();
    assert!(early.contains("not yet at 2026-05-11T05:33:21Z"), "{early}");
}

#[test]
fn a_subscription_that_the_exchange_ended_leaves_its_books_stale() {
    let overflow = r#"{"type":"error","sid":2,"seq":4,"msg":{"code":25,"msg":"Subscription buffer overflow"}}"#;
    let unsubscribed = r#"{"type":"unsubscribed","id":3,"sid":2,"seq":4}"#;
    for end in [overflow, unsubscribed] {
        let tape = plain()
            .frame(5, 1, end)
            .frame(6, 1, trade(3, 1, A, "t1", "0.4000", "1.00", ""))
            .frame(8, 1, snapshot(4, 1, A, &[("0.2000", "1.00")], &[]))
            .file("a.jsonl");
        let analyzer = tape.load();
        assert_eq!(book_at(&analyzer, A, 4).1, "ok");
        assert_eq!(book_at(&analyzer, A, 7), (book_at(&analyzer, A, 4).0, "stale"));
        assert_eq!(book_at(&analyzer, A, 8), ("yes 0.2000x1.00 no ".into(), "ok"));
        let gaps = analyzer.gaps().unwrap();
        let kinds: Vec<_> = gaps.iter().map(|gap| (gap.kind.as_str(), gap.markets)).collect();
        assert_eq!(kinds, [("ended", 1)]);
    }
    // An error that ends nothing is no hole.
    let refused =
        r#"{"type":"error","sid":2,"seq":4,"msg":{"code":13,"msg":"Unsupported action"}}"#;
    let tape = plain().frame(5, 1, refused).file("a.jsonl");
    assert_eq!(book_at(&tape.load(), A, 5).1, "ok");
}

#[test]
fn a_missing_number_makes_every_book_of_the_subscription_stale_until_its_next_snapshot() {
    let tape = plain()
        .frame(5, 1, snapshot(2, 4, B, YES, NO))
        .frame(6, 1, delta(2, 7, A, "yes", "0.1000", "1.00"))
        .frame(7, 1, delta(2, 8, B, "yes", "0.1000", "1.00"))
        .frame(8, 1, snapshot(2, 9, B, &[("0.2000", "1.00")], &[]))
        .event(9, 1, r#""gap","sid":2,"expected":5,"got":7"#)
        .frame(10, 1, snapshot(2, 10, A, YES, &[]))
        .file("a.jsonl");
    let analyzer = tape.load();
    assert_eq!(book_at(&analyzer, A, 4).1, "ok");
    // The books printed in the hole are the last right ones.
    assert_eq!(book_at(&analyzer, A, 7), (book_at(&analyzer, A, 4).0, "stale"));
    assert_eq!(
        book_at(&analyzer, B, 7),
        ("yes 0.4700x3.00 0.4600x5.00 no 0.4800x2.00".into(), "stale")
    );
    assert_eq!(book_at(&analyzer, B, 8), ("yes 0.2000x1.00 no ".into(), "ok"));
    assert_eq!(book_at(&analyzer, A, 9).1, "stale");
    assert_eq!(book_at(&analyzer, A, 10).1, "ok");
    let gaps = analyzer.gaps().unwrap();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gap = &gaps[0];
    assert_eq!((gap.expected, gap.got, gap.markets), (Some(5), Some(7), 2));
    assert!(gap.declared && gap.found);
    assert_eq!(gap.ts_repaired.map(|t| t.0), Some(at(10)));
    assert_eq!((gap.ts_from.unwrap().0, gap.ts_found.unwrap().0), (at(5), at(6)));
}

#[test]
fn replies_and_trades_have_numbers_of_their_own() {
    let tape = plain()
        .frame(5, 1, r#"{"type":"ok","id":3,"sid":2,"seq":4,"msg":{}}"#)
        .frame(6, 1, trade(3, 1, A, "t1", "0.4700", "1.00", ""))
        .frame(7, 1, delta(2, 5, A, "yes", "0.1000", "1.00"))
        .frame(8, 1, ticker(1, A, "0.4700"))
        .file("a.jsonl");
    let analyzer = tape.load();
    assert_eq!(analyzer.gaps().unwrap(), []);
    assert_eq!(book_at(&analyzer, A, 8).1, "ok");
}

#[test]
fn a_repeated_frame_is_counted_and_not_applied_again() {
    let again = delta(2, 3, A, "no", "0.4900", "1.50");
    let tape = plain().frame(5, 1, &again).frame(6, 1, &again).file("a.jsonl");
    let analyzer = tape.load();
    assert_eq!(
        book_at(&analyzer, A, 6),
        ("yes 0.4600x5.00 no 0.4900x1.50 0.4800x2.00".into(), "ok")
    );
    assert_eq!(analyzer.report().total().of(Outcome::Repeat), 2);
    let first = analyzer.report().oddities()["repeated number"].clone();
    assert_eq!((first.count, first.line), (2, 7));
}

#[test]
fn a_level_below_zero_shows_that_frames_were_missed() {
    let tape = plain()
        .frame(5, 1, delta(2, 4, A, "no", "0.4900", "-2.00"))
        .frame(6, 1, delta(2, 5, A, "no", "0.4800", "1.00"))
        .frame(7, 1, snapshot(2, 6, A, YES, NO))
        .file("a.jsonl");
    let analyzer = tape.load();
    assert_eq!(book_at(&analyzer, A, 5).1, "stale");
    assert_eq!(book_at(&analyzer, A, 6).1, "stale");
    assert_eq!(book_at(&analyzer, A, 7).1, "ok");
    let gaps = analyzer.gaps().unwrap();
    assert_eq!(gaps[0].kind, "negative");
    assert!(gaps[0].cause.as_deref().unwrap().contains("the no level at 0.4900 would hold -0.50"));
}

#[test]
fn a_book_message_that_cannot_be_read_makes_the_book_stale() {
    let tape = plain().frame(5, 1, delta(2, 4, A, "no", "0.49001", "1.00")).file("a.jsonl");
    let analyzer = tape.load();
    assert_eq!(book_at(&analyzer, A, 4).1, "ok");
    assert_eq!(book_at(&analyzer, A, 5).1, "stale");
    assert_eq!(analyzer.report().total().of(Outcome::Unreadable), 1);
}

#[test]
fn the_time_between_two_connections_is_a_hole() {
    let tape = plain()
        .event(5, 1, r#""disconnected","cause":"reset by peer""#)
        .connected(7, 2)
        .frame(8, 2, delta(1, 1, A, "yes", "0.1000", "1.00"))
        .frame(9, 2, snapshot(1, 2, A, YES, &[]))
        .frame(10, 2, delta(1, 3, A, "yes", "0.1000", "1.00"))
        .file("a.jsonl");
    let analyzer = tape.load();
    let statuses: Vec<_> = (4..=9).map(|second| book_at(&analyzer, A, second).1).collect();
    assert_eq!(statuses, ["ok", "stale", "stale", "stale", "stale", "ok"]);
    assert_eq!(book_at(&analyzer, A, 10).0, "yes 0.4700x3.00 0.4600x5.00 0.1000x1.00 no ");
    let gaps = analyzer.gaps().unwrap();
    assert_eq!(
        (gaps[0].kind.as_str(), gaps[0].ts_repaired.map(|t| t.0)),
        ("disconnected", Some(at(9)))
    );
    assert_eq!(analyzer.report().oddities()["delta without a snapshot"].count, 1);
}

#[test]
fn no_levels_are_in_no_leg_dollars_whatever_they_were_recorded_in() {
    let sent = |flag: &str| {
        format!(
            r#""sent","command":{{"id":1,"cmd":"subscribe","params":{{"channels":["orderbook_delta"],"market_tickers":["{A}"]{flag}}}}}"#
        )
    };
    for (flag, printed) in [
        (r#","use_yes_price":true"#, "0.5200"),
        (r#","use_yes_price":false"#, "0.4800"),
        ("", "0.4800"),
    ] {
        let tape = Tape::session("s1")
            .connected(0, 1)
            .event(0, 1, &sent(flag))
            .frame(
                1,
                1,
                r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}"#,
            )
            .frame(2, 1, snapshot(1, 1, A, &[("0.4700", "3.00")], &[(printed, "2.00")]))
            .frame(3, 1, delta(1, 2, A, "no", printed, "-1.00"))
            .file("a.jsonl");
        assert_eq!(
            book_at(&tape.load(), A, 3),
            ("yes 0.4700x3.00 no 0.4800x1.00".into(), "ok"),
            "{flag}"
        );
    }
}

#[test]
fn an_empty_snapshot_in_mid_stream_empties_the_book_in_rust_and_in_sql() {
    let tape = plain().frame(5, 1, snapshot(2, 4, A, &[], &[])).file("a.jsonl");
    let analyzer = tape.load();
    assert_eq!(book_at(&analyzer, A, 5), ("yes  no ".into(), "empty"));
    let rows = analyzer
        .query("SELECT * FROM book_events WHERE kind = 'snapshot' AND side IS NULL")
        .unwrap();
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    let rows = analyzer.query(&format!("FROM book_at('{A}', '2026-05-11 05:33:25')")).unwrap();
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 0);
}

#[test]
fn a_market_that_the_exchange_does_not_know_has_no_book() {
    let unknown = format!(
        r#"{{"type":"orderbook_snapshot","sid":2,"seq":4,"msg":{{"market_ticker":"{B}","market_id":""}}}}"#
    );
    let analyzer = plain().frame(5, 1, unknown).file("a.jsonl").load();
    let error = analyzer.reconstruct_book(B).unwrap_err();
    assert_eq!(error.to_string(), format!("no order book of market `{B}` is recorded"));
    let markets = analyzer.markets().unwrap();
    assert_eq!(markets.iter().map(|m| m.unknown_to_exchange).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn of_two_recorders_the_one_that_is_live_is_taken() {
    let other = Tape::session("s2")
        .connected(3, 1)
        .frame(4, 1, snapshot(1, 1, A, &[("0.1100", "1.00")], &[]))
        .event(6, 1, r#""disconnected","cause":"reset by peer""#)
        .event(20, 1, r#""clock","step_ns":1"#)
        .file("b.jsonl");
    let analyzer = other.load();
    let first = plain().frame(9, 1, delta(2, 4, A, "yes", "0.4600", "1.00")).file("a.jsonl");
    analyzer.load_logs(first.path()).unwrap();
    let session = |seconds| analyzer.reconstruct_book_at(A, at(seconds)).unwrap().session;
    assert_eq!((session(3), session(5), session(7)), ("s1".into(), "s2".into(), "s1".into()));
    assert_eq!(book_at(&analyzer, A, 7).1, "ok");
    // One more look at the same folder adds nothing.
    let again = analyzer.load_logs(first.path()).unwrap();
    assert_eq!(again.segments.len(), 0);
}

#[test]
fn a_session_goes_on_from_file_to_file() {
    let tape = plain()
        .file("2026-05-11/20260511T000000Z-s1-0000.jsonl")
        .and_session("s1", 1)
        .frame(5, 1, delta(2, 4, A, "yes", "0.4600", "1.00"))
        .file("2026-05-12/20260512T000000Z-s1-0001.jsonl");
    let analyzer = tape.load();
    assert_eq!(
        book_at(&analyzer, A, 5),
        ("yes 0.4600x6.00 no 0.4900x1.50 0.4800x2.00".into(), "ok")
    );
    assert_eq!(analyzer.gaps().unwrap(), []);
}

#[test]
fn every_line_is_counted_as_something() {
    let tape = plain()
        .line("")
        .line("rubbish")
        .line(r#"{"a":1}"#)
        .line(r#"{"recv_ns":1,"conn":1,"event":"of_the_future"}"#)
        .line(r#"{"recv_ns":5,"conn":1,"event":"bad_frame","text":"}{","reason":"not JSON"}"#)
        .frame(6, 1, r#"{"type":"user_order","msg":{}}"#)
        .frame(6, 1, r#"{"type":"orderbook_delta","sid":9,"seq":1,"msg":{"market_ticker":"KXP","side":"bid","price":"4.8","delta":"1"}}"#)
        .frame(6, 1, r#"{"type":"error","id":4,"msg":{"code":8,"msg":"Unknown channel name"}}"#)
        .frame(7, 1, delta(2, 4, A, "yes", "0.1000", "1.00"))
        .torn_file("a.jsonl", 10)
        .line("x")
        .file("notes.txt");
    let analyzer = tape.load();
    let report = analyzer.report();
    let total = report.total();
    assert_eq!((total.lines, total.blank, total.rubbish, total.torn), (15, 1, 2, 1));
    assert_eq!((total.events, total.frames), (4, 7));
    assert_eq!(
        (total.of(Outcome::Unreadable), total.of(Outcome::Other), total.of(Outcome::Reply)),
        (1, 1, 2)
    );
    assert_eq!(report.foreign, [tape.path().join("notes.txt")]);
    let oddities = report.oddities();
    let kinds: Vec<_> = oddities.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
        [
            "bad frame",
            "other protocol",
            "refused command",
            "rubbish line",
            "torn last line",
            "type `user_order` without a table",
            "unknown event",
        ]
    );
    assert_eq!((oddities["rubbish line"].count, oddities["rubbish line"].line), (2, 8));
}

#[test]
fn a_whole_last_line_without_its_line_break_is_used() {
    let analyzer = plain().torn_file("a.jsonl", 0).load();
    assert_eq!(analyzer.reconstruct_book(A).unwrap().seq, 3);
    assert_eq!(analyzer.report().total().torn, 0);
}

#[test]
fn a_compressed_file_that_was_cut_is_read_up_to_there() {
    let tape = Tape::new();
    let mut text = String::new();
    for seq in 1..20_000 {
        let frame = if seq == 1 {
            snapshot(1, 1, A, YES, NO)
        } else {
            delta(1, seq, A, "yes", "0.0100", "1.00")
        };
        text += &format!(
            "{{\"recv_ns\":{},\"conn\":1,\"frame\":{frame}}}\n",
            T0 + i64::try_from(seq).unwrap()
        );
    }
    // Without compression to speak of, so that half the file is half the lines.
    let mut packed = zstd::encode_all(text.as_bytes(), -50).unwrap();
    packed.truncate(packed.len() / 2);
    std::fs::write(tape.path().join("a.jsonl.zst"), packed).unwrap();
    let analyzer = tape.load();
    let report = analyzer.report();
    assert!(report.segments[0].damage.as_deref().unwrap().contains("read log segment"));
    let lines = report.total().lines;
    assert!((1_000..19_999).contains(&lines), "{lines}");
    assert_eq!(u64::try_from(analyzer.reconstruct_book(A).unwrap().seq).unwrap(), lines);
}

/// Bare frames of the oldest generation, several sessions in one file, no receive time.
#[test]
fn bare_frames_of_another_recorder_are_told_apart_by_their_numbers() {
    let old_snapshot = |seq: u64, yes: &str| {
        format!(
            r#"{{"msg":{{"market_ticker":"{A}","no":[[48,2]],"yes":{yes}}},"seq":{seq},"sid":1,"type":"orderbook_snapshot"}}"#
        )
    };
    let old_delta = |seq: u64, change: i64, time: &str| {
        format!(
            r#"{{"msg":{{"delta":{change},"market_ticker":"{A}","price":47,"side":"yes","ts":"{time}"}},"seq":{seq},"sid":1,"type":"orderbook_delta"}}"#
        )
    };
    let tape = Tape::new()
        .line(old_snapshot(1, "[[47,3]]"))
        .line(old_delta(2, -1, "2025-11-02T19:39:00.5Z"))
        .line(old_delta(3, 2, "2025-11-02T19:39:01Z"))
        .line(old_snapshot(2, "[[47,30]]"))
        .line(old_delta(3, -10, "2025-11-02T19:50:00Z"))
        .file(&format!("{A}.jsonl"));
    let analyzer = tape.load();
    assert_eq!(analyzer.report().total().of(Outcome::Repeat), 0);
    let at =
        |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_nanosecond().try_into().unwrap();
    let book = |time| {
        let found = analyzer.reconstruct_book_at(A, at(time)).unwrap();
        (found.conn, text(&found.book), found.status.as_str(), found.recv_ns)
    };
    // The snapshot has no time: it takes the first that follows.
    assert_eq!(
        book("2025-11-02T19:39:00.5Z"),
        (1, "yes 0.4700x2.00 no 0.4800x2.00".into(), "ok", None)
    );
    assert_eq!(book("2025-11-02T19:39:01Z").1, "yes 0.4700x4.00 no 0.4800x2.00");
    assert_eq!(book("2025-11-02T19:45:00Z").2, "stale");
    assert_eq!(
        book("2025-11-02T19:50:00Z"),
        (2, "yes 0.4700x20.00 no 0.4800x2.00".into(), "ok", None)
    );
    let gaps = analyzer.gaps().unwrap();
    assert_eq!(gaps.iter().map(|gap| gap.kind.as_str()).collect::<Vec<_>>(), ["disconnected"]);
}
