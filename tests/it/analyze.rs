//! Questions over tapes that are small enough to check by hand.

use kalshi_orderbook::{
    analysis::{
        Analyzer, Error, Existing, Nanos, Range, Selection, Table,
        arrow::{array::RecordBatch, util::pretty::pretty_format_batches},
    },
    protocol::Side,
};

use crate::tape::{A, B, Tape, at, delta, snapshot, ticker, trade};

/// A spread of 5 cents for 2 s, of 10 cents for 1 s; then a hole of 4 s, whose frames would have
/// made it 90; then 1 cent for 2 s; then no ask for 1 s.
fn spreads() -> Tape {
    Tape::session("s1")
        .connected(0, 1)
        .frame(
            10,
            1,
            snapshot(1, 1, A, &[("0.4700", "3.00")], &[("0.4800", "2.00"), ("0.4300", "6.00")]),
        )
        .frame(12, 1, delta(1, 2, A, "no", "0.4800", "-2.00"))
        .frame(13, 1, delta(1, 3, A, "yes", "0.0100", "1.00"))
        .frame(15, 1, delta(1, 7, A, "yes", "0.4700", "-3.00"))
        .frame(17, 1, snapshot(1, 8, A, &[("0.4700", "1.00")], &[("0.5200", "3.00")]))
        .frame(19, 1, delta(1, 9, A, "no", "0.5200", "-3.00"))
        .frame(20, 1, ticker(2, A, "0.4700"))
        .frame(20, 1, ticker(2, A, "0.4900"))
        .frame(20, 1, ticker(2, B, "0.1000"))
}

fn close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

fn print(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

fn number(analyzer: &Analyzer, sql: &str) -> String {
    let text = print(&analyzer.query(sql).unwrap());
    text.lines().nth(3).unwrap().trim_matches(['|', ' ']).to_owned()
}

#[test]
fn the_average_price_of_ticker_messages() {
    let analyzer = spreads().file("a.jsonl").load();
    let sql = format!("SELECT AVG(price) FROM ticker_data WHERE ticker = '{A}'");
    assert_eq!(number(&analyzer, &sql), "0.48");
}

#[test]
fn the_spread_is_averaged_over_time_and_never_over_a_hole() {
    let analyzer = spreads().file("a.jsonl").load();
    let answer = analyzer.spread(A, Range::default(), None).unwrap();
    let bar = &answer.rows[0];
    // 10 to 13 s before the hole, which begins after the last good frame; 17 to 20 s after it.
    close(Some(bar.live_s), 6.0);
    close(Some(bar.two_sided_s), 5.0);
    close(bar.mean_cents, (2.0 * 5.0 + 1.0 * 10.0 + 2.0 * 1.0) / 5.0);
    let ends = (bar.min_cents.as_deref(), bar.max_cents.as_deref());
    assert_eq!(ends, (Some("1.00"), Some("10.00")));
    let bps = (2.0 * 0.05 / 0.495 + 0.10 / 0.52 + 2.0 * 0.01 / 0.475) / 5.0 * 1e4;
    close(bar.mean_bps_of_mid, bps);
    assert_eq!(answer.holes.len(), 1, "{:?}", answer.holes);
    assert_eq!((answer.holes[0].from, answer.holes[0].to), (Nanos(at(13) + 1), Nanos(at(17))));

    let range = Range { from_ns: Some(at(10)), to_ns: Some(at(13)) };
    let answer = analyzer.spread(A, range, Some(2_000_000_000)).unwrap();
    let bars: Vec<_> = answer.rows.iter().map(|bar| (bar.bar.unwrap().0, bar.live_s)).collect();
    assert_eq!(bars, [(at(10), 2.0), (at(12), 1.0)]);
    assert_eq!(answer.holes, []);
}

/// Two recorders see one market, 5 cents and 2 cents wide; in the time they share the later counts.
#[test]
fn time_that_two_recorders_share_counts_once() {
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(10, 1, snapshot(1, 1, A, &[("0.4700", "3.00")], &[("0.4800", "2.00")]))
        .event(20, 1, r#""disconnected","cause":"stopped""#)
        .file("a.jsonl")
        .and_session("s2", 0)
        .connected(0, 1)
        .frame(12, 1, snapshot(1, 1, A, &[("0.5000", "3.00")], &[("0.4800", "2.00")]))
        .event(15, 1, r#""disconnected","cause":"stopped""#)
        .file("b.jsonl");
    let answer = tape.load().spread(A, Range::default(), None).unwrap();
    close(Some(answer.rows[0].live_s), 10.0);
    close(answer.rows[0].mean_cents, (7.0 * 5.0 + 3.0 * 2.0) / 10.0);
    assert_eq!(answer.holes, []);
}

#[test]
fn a_range_that_was_not_recorded_is_a_hole() {
    let analyzer = spreads().file("a.jsonl").load();
    let range = Range { from_ns: Some(at(5)), to_ns: Some(at(12)) };
    let holes = analyzer.spread(A, range, None).unwrap().holes;
    assert_eq!((holes[0].from, holes[0].to), (Nanos(at(5)), Nanos(at(10))));
    // Nor is one that lies wholly outside.
    let asked = [(Some(at(50)), None), (Some(at(50)), Some(at(60))), (None, Some(at(5)))];
    for (from_ns, to_ns) in asked {
        let range = Range { from_ns, to_ns };
        for holes in [
            analyzer.spread(A, range, None).unwrap().holes,
            analyzer.vwap(A, range, None).unwrap().holes,
        ] {
            assert_eq!(holes.len(), 1, "{range:?}: {holes:?}");
        }
    }
}

#[test]
fn the_imbalance_of_the_best_levels_is_averaged_over_time() {
    let analyzer = spreads().file("a.jsonl").load();
    let rows = |depth| analyzer.imbalance(A, Range::default(), None, depth).unwrap().rows;
    let one = &rows(1)[0];
    close(Some(one.live_s), 6.0);
    let expected = 2.0 * (3.0 - 2.0) / 5.0 + (3.0 - 6.0) / 9.0 + 2.0 * (1.0 - 3.0) / 4.0 + 1.0;
    close(one.mean, expected / 6.0);
    assert_eq!(one.last, Some(1.0));
    let expected = 2.0 * (3.0 - 8.0) / 11.0 + (3.0 - 6.0) / 9.0 + 2.0 * (1.0 - 3.0) / 4.0 + 1.0;
    close(rows(5)[0].mean, expected / 6.0);
}

#[test]
fn a_trade_that_two_recorders_have_counts_once_and_a_block_apart() {
    let block = r#","is_block_trade":true"#;
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, trade(1, 1, A, "t1", "0.4000", "1.00", ""))
        .frame(2, 1, trade(1, 2, A, "t2", "0.5000", "3.00", r#","is_block_trade":false"#))
        .frame(3, 1, trade(1, 3, A, "t3", "0.9000", "100.00", block))
        .file("a.jsonl")
        .and_session("s2", 0)
        .connected(0, 1)
        .frame(2, 1, trade(1, 1, A, "t2", "0.5000", "3.00", r#","is_block_trade":false"#))
        .file("b.jsonl");
    let analyzer = tape.load();
    let answer = analyzer.vwap(A, Range::default(), None).unwrap();
    let bar = &answer.rows[0];
    close(bar.vwap, 0.475);
    assert_eq!((bar.volume.as_str(), bar.trades), ("4.00", 2));
    assert_eq!((bar.block_volume.as_str(), bar.block_trades), ("100.00", 1));
    assert_eq!((bar.low.as_deref(), bar.high.as_deref()), (Some("0.4000"), Some("0.5000")));
    assert_eq!(answer.holes, []);
    assert_eq!(number(&analyzer, "SELECT count(*) FROM trades"), "3");
    let bars = analyzer.vwap(A, Range::default(), Some(1_000_000_000)).unwrap().rows;
    assert_eq!(bars.iter().map(|bar| bar.trades).collect::<Vec<_>>(), [1, 1, 0]);
}

#[test]
fn missing_numbers_of_the_trade_subscription_are_holes_of_the_vwap() {
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, trade(1, 1, A, "t1", "0.4000", "1.00", ""))
        .frame(2, 1, trade(1, 3, A, "t3", "0.4000", "1.00", ""))
        .file("a.jsonl");
    let holes = tape.load().vwap(A, Range::default(), None).unwrap().holes;
    assert_eq!((holes.len(), holes[0].from, holes[0].to), (1, Nanos(at(1)), Nanos(at(2) + 1)));
    // Also where all of it was in one instant, and where one could not be read.
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, trade(1, 1, A, "t1", "0.4000", "1.00", ""))
        .frame(1, 1, trade(1, 3, A, "t3", "0.4000", "1.00", ""))
        .frame(3, 1, r#"{"type":"trade","sid":1,"seq":4,"msg":{}}"#)
        .file("a.jsonl");
    assert_eq!(tape.load().vwap(A, Range::default(), None).unwrap().holes.len(), 2);
}

#[test]
fn trades_are_missing_from_the_end_of_their_subscription_to_the_next() {
    let subscribed = |sid: u32| {
        format!(r#"{{"type":"subscribed","id":{sid},"msg":{{"channel":"trade","sid":{sid}}}}}"#)
    };
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(0, 1, subscribed(1))
        .frame(1, 1, trade(1, 1, A, "t1", "0.4000", "1.00", ""))
        .frame(5, 1, r#"{"type":"unsubscribed","id":3,"sid":1,"seq":2}"#)
        .frame(9, 1, subscribed(2))
        .frame(12, 1, trade(2, 1, A, "t2", "0.4000", "1.00", ""))
        .file("a.jsonl");
    let holes = tape.load().vwap(A, Range::default(), None).unwrap().holes;
    assert_eq!(holes.len(), 1, "{holes:?}");
    assert_eq!((holes[0].from, holes[0].to), (Nanos(at(5)), Nanos(at(9))));
}

#[test]
fn a_name_that_is_not_there_brings_similar_ones_to_mind() {
    let analyzer = spreads().file("a.jsonl").load();
    let Err(Error::UnknownTicker { near, .. }) = analyzer.reconstruct_book("KXA-26MAY11-T3") else {
        panic!()
    };
    assert_eq!(near, [A, B]);
    let Err(error) = analyzer.reconstruct_book("NOTHING-LIKE-IT") else { panic!() };
    assert_eq!(error.to_string(), "nothing of market `NOTHING-LIKE-IT` is recorded");
    assert!(error.hint().unwrap().contains("analyze markets"));
    // Lower case is accepted.
    assert_eq!(analyzer.reconstruct_book(&A.to_lowercase()).unwrap().ticker, A);
}

/// The same books from Rust, from the macro, and at their best level from the view, at every
/// instant of tapes made at random.
#[test]
fn sql_and_rust_rebuild_the_same_books() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut tape = Tape::session("s1").connected(0, 1);
        let mut seq = 0;
        for second in 1..150 {
            seq += if random.u8(..) < 8 { 2 } else { 1 };
            let price = format!("0.{:02}00", random.u8(40..45));
            let market = if random.bool() { A } else { B };
            let frame = match random.u8(..100) {
                0..8 => snapshot(
                    1,
                    seq,
                    market,
                    &[("0.4200", "5.00"), (&price, "7.00")],
                    &[("0.4400", "9.00")],
                ),
                8..11 => snapshot(1, seq, market, &[], &[]),
                _ => {
                    let change = format!("{}.00", random.i8(-4..9));
                    delta(1, seq, market, if random.bool() { "yes" } else { "no" }, &price, &change)
                }
            };
            tape = tape.frame(second, 1, frame);
        }
        let analyzer = tape.file("a.jsonl").load();
        for market in [A, B] {
            for second in (1..160).step_by(2) {
                let Ok(found) = analyzer.reconstruct_book_at(market, at(second)) else { continue };
                let sql = format!("FROM book_at('{market}', make_timestamp_ns({}))", at(second));
                let stored = print(&analyzer.query(&sql).unwrap());
                let mut expected = Vec::new();
                if found.status.as_str() != "stale" {
                    for side in [Side::Yes, Side::No] {
                        let line = |(price, size)| format!("{side} {price} {size}");
                        expected.extend(found.book.levels(side).map(line));
                    }
                }
                let lines = stored.lines().filter(|line| line.contains("0.")).map(|line| {
                    line.split(['|', ' '])
                        .filter(|word| !word.is_empty())
                        .collect::<Vec<_>>()
                        .join(" ")
                });
                assert_eq!(lines.collect::<Vec<_>>(), expected, "seed {seed} {market} {second}");
                let best = number(&analyzer, &format!(
                    "SELECT coalesce(max(bid)::VARCHAR, 'none') || ' ' || coalesce(max(ask)::VARCHAR, 'none') FROM bbo
                     WHERE ticker = '{market}' AND epoch_ns(ts) <= {0} AND {0} < epoch_ns(ts_until)", at(second)));
                if found.status.as_str() == "stale" {
                    assert_eq!(best, "none none", "seed {seed} {market} {second}");
                } else {
                    let text = |level: Option<kalshi_orderbook::book::Level>| {
                        level.map_or("none".into(), |level| level.0.to_string())
                    };
                    let expected =
                        format!("{} {}", text(found.book.yes_bid()), text(found.book.yes_ask()));
                    assert_eq!(best, expected, "seed {seed} {market} {second}");
                }
            }
        }
    }
}

#[test]
fn an_export_is_exact_and_whole_or_not_there() {
    let tape = spreads().file("a.jsonl");
    let analyzer = tape.load();
    let out = tape.path().join("it's a *file*.parquet");
    let exported = analyzer.export_to_parquet(A, &out).unwrap();
    assert_eq!(exported.rows, 9);
    let read = format!(
        "read_parquet('{}')",
        out.display().to_string().replace('\'', "''").replace('*', "[*]")
    );
    let types = print(
        &analyzer
            .query(&format!("SELECT column_name, column_type FROM (DESCRIBE FROM {read})"))
            .unwrap(),
    );
    for column in
        ["ts_recv     | TIMESTAMP_NS", "price       | DECIMAL(6,4)", "size        | DECIMAL(18,2)"]
    {
        assert!(types.contains(column), "{types}");
    }
    let total =
        format!("SELECT sum(size) FILTER (kind = 'delta')::VARCHAR || ' ' || count(*) FROM {read}");
    assert_eq!(number(&analyzer, &total), "-7.00 9");
    let refused = analyzer.export(A, Table::Bbo, &out, Existing::Keep).unwrap_err();
    assert!(matches!(refused, Error::Exists(_)));
    let nowhere = tape.path().join("no/such/folder/x.parquet");
    assert!(analyzer.export_to_parquet(A, nowhere).is_err());
    let names: Vec<_> =
        std::fs::read_dir(tape.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "the recording, its lake and the export: {names:?}");
}

#[test]
fn a_whole_export_lies_by_table_day_and_series() {
    let tape = spreads().file("a.jsonl");
    let analyzer = tape.load();
    let out = tape.path().join("out");
    let exported = analyzer.export_all(&Table::ALL, &out, Existing::Keep).unwrap();
    assert_eq!(
        exported.iter().map(|part| part.rows).collect::<Vec<_>>(),
        [9, 4, 0, 3, 0, 2, 1, 1, 2, 1, 2]
    );
    assert!(out.join("ticker_data/date=2026-05-11/series=KXA").is_dir());
    let read =
        format!("read_parquet('{}/bbo/*/*/*.parquet', hive_partitioning = true)", out.display());
    assert_eq!(
        number(&analyzer, &format!("SELECT count(*) FROM {read} WHERE series = 'KXA'")),
        "4"
    );
    assert!(analyzer.export_all(&Table::ALL, &out, Existing::Keep).is_err());
    analyzer.export_all(&[Table::Bbo], &out, Existing::Overwrite).unwrap();
    assert!(out.join("ticker_data").exists());
    // An oddity has no time of its own, but its session has.
    for (from, rows) in [(0, 2), (i64::MAX - 1, 0)] {
        let range = Range { from_ns: Some(from), to_ns: None };
        let selection = Selection { markets: Some(A.into()), range };
        let file = tape.path().join(format!("{rows}.csv"));
        let exported = analyzer.export(selection, Table::Oddities, file, Existing::Keep).unwrap();
        assert_eq!(exported.rows, rows);
    }
}

#[test]
fn a_gap_is_exported_with_the_markets_and_times_that_it_concerns() {
    let tape = Tape::session("s1")
        .connected(0, 1)
        .frame(10, 1, snapshot(1, 1, A, &[("0.4700", "3.00")], &[]))
        .frame(11, 1, trade(3, 1, A, "t1", "0.4900", "2.00", ""))
        .frame(12, 1, trade(3, 3, A, "t2", "0.4900", "2.00", ""))
        .frame(19, 1, ticker(2, A, "0.4700"))
        .file("a.jsonl");
    let analyzer = tape.load();
    for (from, to, rows) in [(0, 11, 0), (0, 13, 1), (12, 18, 1), (13, 18, 0), (20, 30, 0)] {
        let range = Range { from_ns: Some(at(from)), to_ns: Some(at(to)) };
        let selection = Selection { markets: Some(A.into()), range };
        let file = tape.path().join("gaps.csv");
        let exported = analyzer.export(selection, Table::Gaps, file, Existing::Overwrite).unwrap();
        assert_eq!(exported.rows, rows, "{from} to {to}");
    }
}

#[test]
fn an_export_replaces_nothing_but_an_earlier_export() {
    let tape = spreads().file("a.jsonl");
    let analyzer = tape.load();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("logs.parquet/2026-11-22")).unwrap();
    std::fs::write(at("logs.parquet/2026-11-22/a.jsonl"), "precious").unwrap();
    std::fs::write(at("notes.parquet"), "precious").unwrap();
    std::fs::create_dir_all(at("all/bbo")).unwrap();
    std::fs::write(at("all/bbo/notes.txt"), "precious").unwrap();

    for path in [at("logs.parquet"), at("notes.parquet")] {
        let refused = analyzer.export(A, Table::Bbo, &path, Existing::Overwrite).unwrap_err();
        assert!(matches!(refused, Error::NotAnExport(_)), "{refused}");
    }
    let refused = analyzer.export_all(&Table::ALL, at("all"), Existing::Overwrite).unwrap_err();
    assert!(matches!(refused, Error::NotAnExport(_)), "{refused}");
    // A folder that holds other things keeps them.
    analyzer.export_all(&[Table::Trades], folder.path(), Existing::Overwrite).unwrap();
    analyzer.export_all(&[Table::Bbo], folder.path(), Existing::Overwrite).unwrap();
    analyzer.export_all(&[Table::Bbo], folder.path(), Existing::Overwrite).unwrap();
    for name in ["logs.parquet/2026-11-22/a.jsonl", "notes.parquet", "all/bbo/notes.txt"] {
        assert_eq!(std::fs::read_to_string(at(name)).unwrap(), "precious");
    }
    assert!(at("bbo").is_dir() && at("trades").is_dir());
}
