//! SQL for people: what may be asked, what the page says of it, files, limits, Ctrl-C.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use kalshi_orderbook::analysis::{
    Analyzer, Error, Existing, Range, Selection, Table,
    arrow::{
        array::RecordBatch,
        util::{display::array_value_to_string, pretty::pretty_format_batches},
    },
};

use crate::cli::{err, out};
use crate::tape::{A, B, Tape, at, delta, snapshot, ticker, trade};

/// The market of the page.
const FED: &str = "KXFED-27APR-T4.25";

/// Two markets with quotes and trades, and a gap that makes one of them unsure for five seconds.
fn tape() -> Tape {
    let mut tape = Tape::session("s1")
        .connected(0, 1)
        .frame(1, 1, snapshot(1, 1, FED, &[("0.4700", "3.00")], &[("0.4800", "2.00")]))
        .frame(1, 1, snapshot(1, 2, A, &[("0.3000", "3.00")], &[("0.6000", "2.00")]));
    for n in 3..40_u32 {
        let second = i64::from(n);
        let side = if n % 2 == 0 { "yes" } else { "no" };
        let id = format!("t{n}");
        let sold = trade(3, (n - 2).into(), FED, &id, "0.4900", "2.00", "");
        tape = tape.frame(second, 1, delta(1, n.into(), FED, side, "0.4600", "1.50")).frame(
            second,
            1,
            sold.replace(r#""taker_side":"yes""#, &format!(r#""taker_side":"{side}""#)),
        );
    }
    tape.frame(41, 1, ticker(2, FED, "0.4700"))
        .frame(42, 1, delta(1, 42, A, "yes", "0.2900", "7.00"))
        .frame(47, 1, snapshot(1, 43, A, &[("0.3000", "3.00")], &[("0.6000", "2.00")]))
        .frame(47, 1, snapshot(1, 44, FED, &[("0.4700", "3.00")], &[("0.4800", "2.00")]))
        .frame(50, 1, delta(1, 45, A, "yes", "0.3100", "7.00"))
        .file("logs/a.jsonl")
}

/// The binary, beside the recordings.
fn command(tape: &Tape) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    command.current_dir(tape.path()).env("KALSHI_LOG_DIR", "logs").stdin(Stdio::null());
    command
}

fn kalshi(tape: &Tape, args: &[&str]) -> Output {
    command(tape).args(args).output().unwrap()
}

fn load(tape: &Tape) -> Analyzer {
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(tape.path().join("logs")).unwrap();
    analyzer
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sql.md")).unwrap()
}

/// The cells of a result, without quotes.
fn cells(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let row = |batch: &RecordBatch, n| {
        batch.columns().iter().map(|c| array_value_to_string(c, n).unwrap()).collect()
    };
    let rows = |batch: &RecordBatch| (0..batch.num_rows()).map(|n| row(batch, n)).collect();
    batches.iter().flat_map::<Vec<_>, _>(rows).collect()
}

fn ask(analyzer: &Analyzer, sql: &str) -> Vec<Vec<String>> {
    cells(&analyzer.query(sql).unwrap_or_else(|error| panic!("{sql}\n{error:?}")))
}

#[test]
fn every_query_of_the_page_gives_rows() {
    let tape = tape();
    fs::write(tape.path().join("fills.csv"), "trade_id,note\nt5,mine\n").unwrap();
    let page = page();
    let queries: Vec<_> =
        page.split("```sql\n").skip(1).filter_map(|q| q.split("```").next()).collect();
    assert!(queries.len() > 14);
    for query in queries {
        let output = kalshi(&tape, &["analyze", "sql", query]);
        assert!(output.status.success(), "{query}\n{}", err(&output));
        assert!(out(&output).lines().count() > 1, "no rows: {query}");
    }
}

/// A list is its view, but for what a line has no room for.
#[test]
fn lists_have_the_columns_of_their_views() {
    let tape = tape();
    let first = |output: &Output| out(output).lines().next().unwrap_or_default().to_owned();
    for (list, view) in [
        ("markets", "SELECT * EXCLUDE metadata FROM markets"),
        ("coverage", "FROM coverage"),
        ("gaps", "SELECT * REPLACE (array_to_string(tickers, ' ') AS tickers) FROM gaps"),
    ] {
        let [list, view] = [&["analyze", list][..], &["analyze", "sql", view]]
            .map(|arguments| kalshi(&tape, arguments));
        assert_eq!(first(&list), first(&view));
        let [list, view] = [list, view].map(|output| out(&output).lines().count());
        assert_eq!(list, view);
    }
}

#[test]
fn a_query_tells_of_holes_in_what_it_reads() {
    let tape = tape();
    let gaps = load(&tape).gaps().unwrap().len();
    let all = format!("has {gaps} gap");
    for (query, tells) in [
        ("SELECT count(*) FROM bbo", true),
        ("WITH x AS (FROM Book_Events) FROM x", true),
        ("PIVOT bbo ON ticker USING count(*)", true),
        ("FROM bbo m, book_at(m.ticker, m.ts)", true),
        ("EXPLAIN FROM bbo", false),
        ("DESCRIBE bbo", false),
        ("FROM bbo ASOF JOIN spans ON bbo.ts >= spans.ts_from", false),
        ("FROM gaps", false),
        ("SELECT 'bbo'", false),
        ("SUMMARIZE bbo", true),
        ("WITH gaps AS (FROM bbo) SELECT count(*) FROM gaps", true),
        ("WITH bbo AS (FROM bbo LIMIT 1) FROM bbo", true),
        ("/* it's mine */ PIVOT (SELECT ticker, sid FROM bbo) ON sid USING count(*)", true),
        (&format!("SELECT {}", vec!["1"; 400].join("+")), false),
    ] {
        let output = kalshi(&tape, &["analyze", "sql", query]);
        assert_eq!(err(&output).contains(&all), tells, "{query}: {}", err(&output));
        let strict = kalshi(&tape, &["analyze", "sql", query, "--strict"]);
        assert_eq!(strict.status.code(), Some(if tells { 3 } else { 0 }), "{query}");
    }
    let second = Tape::session("s2").connected(100, 1).frame(
        101,
        1,
        snapshot(1, 1, A, &[("0.3000", "3.00")], &[]),
    );
    let later = second.text().replace(&at(0).to_string(), &at(100).to_string());
    fs::write(tape.path().join("logs/b.jsonl"), later).unwrap();
    let pause = err(&kalshi(&tape, &["analyze", "sql", "FROM trades"]));
    assert!(pause.contains("has 1 pause between sessions (`FROM sessions`);"), "{pause}");
    let bars = format!("FROM spread_bars('{A}', null, null, null)");
    let [sql, asked] = [&["analyze", "sql", &bars][..], &["analyze", "spread", A]]
        .map(|arguments| err(&kalshi(&tape, arguments)));
    assert!(asked.contains("has a hole"), "{asked}");
    assert_eq!(sql, asked);
}

/// Values are exact in each format, and what cannot be written is no text.
#[test]
fn values_are_printed_as_they_are() {
    let tape = tape();
    let huge = "170141183460469231731687303715884105727";
    let query = format!(
        "SELECT {huge} AS a, 'infinity'::TIMESTAMP AS b, '-infinity'::TIMESTAMP_NS AS c,
                123456789.123456789::DOUBLE AS d, 'NaN'::DOUBLE AS e, 1 AS a,
                TIMESTAMP_NS '2026-05-11 05:00:00' AS f, ['infinity'::TIMESTAMP] AS g,
                {{'h': [{huge}]}} AS h"
    );
    let output = kalshi(&tape, &["analyze", "sql", &query, "--format", "json"]);
    let row = format!(
        r#"[{{"a":{huge},"b":"infinity","c":"-infinity","d":123456789.12345679,"e":"NaN","a_1":1,"f":"2026-05-11T05:00:00.000000000","g":["infinity"],"h":{{"h":[{huge}]}}}}]"#
    );
    assert_eq!(out(&output).trim_end(), row);
    let output = kalshi(&tape, &["analyze", "sql", &query]);
    let row = format!(
        r#"{huge},infinity,-infinity,123456789.12345679,NaN,1,2026-05-11T05:00:00.000000000,"[""infinity""]","{{""h"":[{huge}]}}""#
    );
    assert_eq!(out(&output).lines().nth(1), Some(row.as_str()));
    let output = kalshi(
        &tape,
        &["analyze", "sql", "SELECT union_value(a := [1]) AS u, [union_value(a := 'x')] AS v"],
    );
    assert_eq!(out(&output), "u,v\n[1],\"[\"\"x\"\"]\"\n", "{}", err(&output));
    for query in ["SELECT '290000-12-31'::TIMESTAMP", "SELECT ['290000-12-31'::TIMESTAMP]"] {
        assert_eq!(kalshi(&tape, &["analyze", "sql", query]).status.code(), Some(1), "{query}");
    }
}

/// Only a terminal is too small for it.
#[test]
fn a_table_in_a_pipe_is_whole() {
    let tape = tape();
    let lines = |arguments: &[&str]| out(&kalshi(&tape, arguments)).lines().count();
    for list in [
        &["analyze", "spread", FED, "--every", "100ms"][..],
        &["analyze", "sql", "FROM range(1000)"],
    ] {
        let csv = lines(list);
        assert!(csv > 200, "{csv}");
        assert_eq!(lines(&[list, &["--format", "table"]].concat()), csv);
    }
}

#[test]
fn a_macro_knows_its_markets_and_times() {
    let tape = tape();
    let lower = A.to_lowercase();
    let is_refused = |query: &str, reason: &str| {
        let output = kalshi(&tape, &["analyze", "sql", query]);
        assert_eq!(output.status.code(), Some(1), "{query}");
        assert!(err(&output).contains(reason), "{query}: {}", err(&output));
    };
    let unknown = format!("nothing of market `{lower}` is recorded");
    is_refused(&format!("FROM book_at('{lower}', now())"), &unknown);
    is_refused(&format!("FROM vwap_bars(every := null, wanted := '{lower}')"), &unknown);
    is_refused(
        &format!("FROM book_at('{lower}', now())"),
        &format!("similar names are recorded: {A}"),
    );
    for (time, wrong) in [
        ("'2026-13-01'", "is no time"),
        ("'yesterday'", "is no time"),
        ("1.5", "is no time"),
        ("5", "is not in nanoseconds"),
        ("1778477650000", "is not in nanoseconds"),
        ("9999999999999999999", "is not in nanoseconds"),
        ("'1778477650'", "is not in nanoseconds"),
    ] {
        let reason = format!("`{}` {wrong}", time.trim_matches('\''));
        is_refused(&format!("FROM book_at('{A}', {time})"), &reason);
        is_refused(&format!("FROM spread_bars('{A}', {time}, null, null)"), &reason);
    }
    let many = "FROM (SELECT DISTINCT ticker FROM bbo) m, book_at(m.ticker, '2026-05-11 05:34:10')";
    let output = kalshi(&tape, &["analyze", "sql", many]);
    assert!(output.status.success(), "{}", err(&output));
}

/// What the page says of the columns is what SQL says of them.
#[test]
fn the_page_has_the_columns_of_each_view() {
    let page = page();
    let mut listed: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    let mut view = "";
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### `") {
            view = heading.split(['`', '(']).next().unwrap();
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").collect();
            let cells = [cells[0].trim_matches('`'), cells[1], cells[2]].map(str::to_owned);
            listed.entry(view).or_default().push(cells.to_vec());
        }
    }
    let tape = tape();
    let analyzer = load(&tape);
    for (name, arguments) in [
        ("book_at", ", now()"),
        ("spread_bars", ", NULL, NULL, NULL"),
        ("vwap_bars", ", NULL, NULL, NULL"),
    ] {
        let arguments = format!("'{A}'{arguments}");
        let columns = listed.remove(name).unwrap();
        let sql = "SELECT column_name, column_type FROM";
        let found = ask(&analyzer, &format!("{sql} (DESCRIBE FROM {name}({arguments}))"));
        assert_eq!(found, columns.iter().map(|c| c[..2].to_vec()).collect::<Vec<_>>(), "{name}");
    }
    for (view, columns) in &listed {
        let found = ask(
            &analyzer,
            &format!(
                "SELECT column_name, data_type, comment FROM duckdb_columns()
                 WHERE table_name = '{view}' AND schema_name = 'main' ORDER BY column_index"
            ),
        );
        assert_eq!(&found, columns, "{view}");
    }
    let views = ask(
        &analyzer,
        "SELECT view_name FROM duckdb_views()
         WHERE schema_name = 'main' AND NOT internal AND comment LIKE 'One row is %' ORDER BY ALL",
    );
    assert_eq!(views.concat(), listed.keys().copied().collect::<Vec<_>>());
    assert_eq!(ask(&analyzer, "SHOW TABLES").concat(), views.concat());
}

#[test]
fn what_reads_is_answered() {
    let tape = tape();
    fs::write(tape.path().join("mine.csv"), "x\n1\n").unwrap();
    fs::write(tape.path().join("mine.json"), "{\"x\":1}").unwrap();
    let analyzer = load(&tape);
    let mine = |name: &str| format!("'{}'", tape.path().join(name).display());
    for query in [
        "SELECT count(*) FROM bbo; ",
        "FROM trades",
        "TABLE markets -- all",
        "VALUES (1), (2)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) FROM n",
        "DESCRIBE bbo",
        "SUMMARIZE trades",
        "SUMMARIZE SELECT price FROM trades",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "EXPLAIN FROM bbo",
        "EXPLAIN ANALYZE FROM bbo;",
        "PIVOT trades ON taker_side USING sum(size)",
        "WITH t AS (FROM trades) SELECT * FROM (PIVOT t ON taker_side USING count(*));",
        "PIVOT trades ON taker_side IN ('yes', 'no') USING sum(size) GROUP BY ticker",
        "UNPIVOT (SELECT bid, ask FROM bbo) ON bid, ask",
        "SELECT COLUMNS('bid.*') FROM bbo",
        "SELECT list_transform([1, 2], lambda x: x + 1)",
        "FROM lake.quote",
        "FROM duckdb_settings()",
        &format!("FROM {}", mine("mine.csv")),
        &format!(
            "FROM read_csv({}) JOIN read_json({}) USING (x)",
            mine("mine.csv"),
            mine("mine.json")
        ),
    ] {
        assert!(!ask(&analyzer, query).is_empty(), "{query}");
    }
    let syntax = analyzer.query("SELECT 1\nFROM bbo WHERE (").unwrap_err().to_string();
    assert!(syntax.contains("LINE 2: FROM bbo WHERE ("), "{syntax}");
}

#[test]
fn what_does_more_is_refused_and_changes_nothing() {
    let tape = tape();
    let analyzer = load(&tape);
    let before: Vec<_> = fs::read_dir(tape.path()).unwrap().map(|e| e.unwrap().path()).collect();
    let file = format!("'{}'", tape.path().join("file").display());
    for query in [
        format!("COPY trades TO {file}"),
        format!("COPY (SELECT 1) TO {file} (FORMAT parquet)"),
        format!("SELECT 1; COPY trades TO {file}"),
        format!("/* ; */ SELECT ';'; -- ;\nCOPY trades TO {file}; SELECT 1"),
        format!("EXPLAIN ANALYZE COPY trades TO {file}"),
        format!("EXPLAIN (ANALYZE) COPY trades TO {file}"),
        format!("EXPLAIN SELECT 1; COPY trades TO {file}"),
        format!("PIVOT trades ON taker_side USING sum(size); COPY trades TO {file}"),
        format!("COPY (PIVOT trades ON taker_side USING sum(size)) TO {file}"),
        format!("FROM enable_logging(storage = 'file', storage_path = {file})"),
        format!("SELECT (SELECT 1 FROM main.\"ENABLE_LOGGING\"(storage_path = {file}))"),
        format!("DESCRIBE FROM enable_profiling(save_location = {file})"),
        format!("PIVOT (FROM enable_profiling(save_location = {file})) ON a USING sum(b)"),
        format!("FROM query('FROM enable_logging(storage_path = {})')", file.replace('\'', "''")),
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))".into(),
        format!("ATTACH {file}"),
        format!("EXPORT DATABASE {file}"),
        format!("FROM read_duckdb({file}, table_name = 't')"),
        "INSTALL httpfs".into(),
        "LOAD httpfs".into(),
        "SET threads = 1".into(),
        "PRAGMA enable_profiling".into(),
        "CALL enable_logging()".into(),
        "CREATE TABLE t AS SELECT 1".into(),
        "CREATE OR REPLACE TEMP VIEW bbo AS SELECT 1".into(),
        "DROP VIEW bbo".into(),
        "INSERT INTO bbo VALUES (1)".into(),
        "WITH x AS (SELECT 1) INSERT INTO bbo FROM x".into(),
        "BEGIN".into(),
        "USE memory".into(),
        "SELECT 1; SELECT 2".into(),
        " -- nothing".into(),
    ] {
        let refused = analyzer.query(&query).unwrap_err();
        assert!(matches!(refused, Error::Refused(_)), "{query}: {refused:?}");
        assert!(refused.hint().unwrap().contains("--out FILE"), "{refused}");
        assert!(analyzer.query_to_file(&query, tape.path().join("f.csv"), Existing::Keep).is_err());
    }
    assert!(analyzer.query("PIVOT trades) ON a; COPY (SELECT 1").is_err());
    let refused = analyzer.query("SELECT 1; DROP VIEW bbo").unwrap_err();
    assert!(refused.to_string().starts_with("`DROP` is refused: SQL only reads"), "{refused}");
    let after: Vec<_> = fs::read_dir(tape.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(after, before);
}

#[test]
fn a_table_function_that_is_not_there_is_not_called_refused() {
    let tape = tape();
    let hint = |query: &str| {
        let error = load(&tape).query(query).unwrap_err();
        assert!(matches!(error, Error::NoFunction { .. }), "{query}: {error:?}");
        (error.to_string(), error.hint().unwrap())
    };
    let (error, suggested) = hint("FROM spred_bars('KXA', NULL, NULL, NULL)");
    assert_eq!(error, "there is no table function `spred_bars`");
    assert_eq!(suggested, "similar names are there: spread_bars");
    let (_, suggested) = hint("SELECT 1 FROM (FROM candles('KXA'))");
    assert!(suggested.contains("book_at") && suggested.contains("duckdb_functions"), "{suggested}");
    let hint = load(&tape).query("FROM candles").unwrap_err().hint().unwrap();
    assert!(hint.contains("SHOW TABLES"), "{hint}");
}

#[test]
fn instants_are_times_or_whole_nanoseconds() {
    let tape = tape();
    let analyzer = load(&tape);
    let book = |instant: &str| ask(&analyzer, &format!("FROM book_at('{FED}', {instant})"));
    let expected = book("'2026-05-11 05:33:30'");
    assert_eq!(expected.len(), 4);
    for instant in [
        at(10).to_string(),
        format!("make_timestamp_ns({})", at(10)),
        format!("(SELECT {}::HUGEINT)", at(10)),
        "'2026-05-11 05:33:30Z'::TIMESTAMPTZ".into(),
        "(SELECT max(ts) FROM trades WHERE ts <= '2026-05-11 05:33:30')".into(),
        "(SELECT max(epoch_ns(ts)) FROM trades WHERE ts <= '2026-05-11 05:33:30')".into(),
    ] {
        assert_eq!(book(&instant), expected, "{instant}");
    }
    let bars = |ends: &str| ask(&analyzer, &format!("FROM vwap_bars('{FED}', {ends}, NULL)"));
    assert_eq!(
        bars(&format!("{}, {}", at(10), at(20))),
        bars("'2026-05-11 05:33:30', '2026-05-11 05:33:40'")
    );
    assert_eq!(book("NULL"), Vec::<Vec<String>>::new());
    for instant in ["1778477610", "'yesterday'"] {
        assert!(analyzer.query(&format!("FROM book_at('{FED}', {instant})")).is_err(), "{instant}");
    }
}

#[test]
fn bars_have_a_length() {
    let tape = tape();
    let analyzer = load(&tape);
    for bars in ["spread_bars", "vwap_bars"] {
        let query = |every| format!("FROM {bars}('{FED}', NULL, NULL, {every})");
        for every in ["INTERVAL '1 month'", "INTERVAL 1 year", "'1 month 1 day'"] {
            let error = format!("{:?}", analyzer.query(&query(every)).unwrap_err());
            assert!(error.contains("a month has no one length"), "{every}: {error}");
        }
        for every in ["INTERVAL 0 days", "INTERVAL '-1 hour'"] {
            let error = format!("{:?}", analyzer.query(&query(every)).unwrap_err());
            assert!(error.contains("the length of bars is not above zero"), "{every}: {error}");
        }
        for (every, start) in [
            ("INTERVAL 1 week", "2026-05-07T00:00:00"),
            ("INTERVAL 1 day", "2026-05-11T00:00:00"),
            ("'1 hour'", "2026-05-11T05:00:00"),
        ] {
            assert_eq!(ask(&analyzer, &query(every))[0][0], start, "{every}");
        }
    }
}

#[test]
fn a_result_is_written_as_its_name_says() {
    let tape = tape();
    let query = "SELECT ticker, bid, ts FROM bbo ORDER BY ts, ticker LIMIT 2 -- two";
    let written = |name: &str, more: &[&str]| {
        let args = [&["analyze", "sql", query, "--out", name][..], more].concat();
        (kalshi(&tape, &args), tape.path().join(name))
    };
    let (output, path) = written("a.csv", &[]);
    assert_eq!(out(&output), "a.csv: 2 rows\n", "{}", err(&output));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        format!(
            "ticker,bid,ts\n{A},0.3000,2026-05-11 05:33:21\n{FED},0.4700,2026-05-11 05:33:21\n"
        )
    );
    let (_, path) = written("a.json", &[]);
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(json[1]["ticker"], FED);
    let (_, path) = written("a.ndjson", &[]);
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 2);
    let (_, path) = written("a.parquet", &[]);
    let types = format!("DESCRIBE FROM '{}'", path.display());
    let types: Vec<_> = ask(&load(&tape), &types).iter().map(|row| row[1].clone()).collect();
    assert_eq!(types, ["VARCHAR", "DECIMAL(6,4)", "TIMESTAMP_NS"]);

    let (again, _) = written("a.csv", &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(err(&again).ends_with("hint: --force overwrites it\n"), "{}", err(&again));
    assert!(written("a.csv", &["--force"]).0.status.success());
    let (output, _) = written("no/such/folder/a.csv", &[]);
    assert_eq!(output.status.code(), Some(1));
    let (output, _) = written("a.parquet.gz", &[]);
    assert!(err(&output).contains("name it .parquet, .csv, .json"), "{}", err(&output));
    for pivot in ["PIVOT trades ON taker_side USING sum(size)", "DESCRIBE bbo", "SHOW TABLES"] {
        let output = kalshi(&tape, &["analyze", "sql", pivot, "--out", "p.csv", "--force"]);
        assert!(output.status.success(), "{pivot} {}", err(&output));
    }
    let names = fs::read_dir(tape.path()).unwrap().count();
    assert_eq!(names, 6, "the recordings, five files, and no other");
}

#[test]
fn memory_and_threads_reach_the_database() {
    let query = "SELECT current_setting('memory_limit'), current_setting('threads')";
    let tape = tape();
    let args = ["analyze", "sql", query, "--memory", "1GiB", "--threads", "1"];
    assert!(out(&kalshi(&tape, &args)).ends_with("\n1.0 GiB,1\n"));
    let output = command(&tape)
        .args(["analyze", "sql", query])
        .envs([("KALSHI_MEMORY", "512MiB"), ("KALSHI_THREADS", "2")])
        .output()
        .unwrap();
    assert!(out(&output).ends_with("\n512.0 MiB,2\n"), "{}", err(&output));
    // What has no room goes to a temporary folder, not beside the work.
    let sort =
        "SELECT count(*) FROM (SELECT range, hash(range) AS h FROM range(8000000) ORDER BY h)
                WHERE h > 0";
    let output = kalshi(&tape, &["analyze", "sql", sort, "--memory", "100MB", "--threads", "1"]);
    assert!(output.status.success(), "{}", err(&output));
    assert!(!tape.path().join(".tmp").exists());
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_question_at_once() {
    let tape = tape();
    kalshi(&tape, &["compact"]);
    let long = "SELECT sum(a.range + b.range) FROM range(10000000000) a, range(10000000000) b";
    let large = "SELECT a.*, b.range FROM bbo a, range(100000000) b";
    for (query, file) in [(long, None), (large, Some("large.parquet")), (large, Some("large.csv"))]
    {
        let mut command = command(&tape);
        command.args(["analyze", "sql", query]);
        command.args(file.map(|file| ["--out", file]).iter().flatten());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = || fs::read_dir(tape.path()).unwrap().count() > 1;
        let patience = Instant::now();
        while file.is_some() && !begun() && patience.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(500));
        let since = Instant::now();
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(
            kill.unwrap().success() && child.try_wait().unwrap().is_none(),
            "{query} has ended"
        );
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), err(&output).as_str()), (Some(130), "interrupted\n"));
        // Some 50 ms; the bound is for machines with other work.
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        assert_eq!(fs::read_dir(tape.path()).unwrap().count(), 1, "{file:?} is left");
    }
}

/// Questions that never see DuckDB are stopped as well, and the next one is answered.
#[test]
fn an_interrupt_stops_a_question_that_reads_the_lake_itself() {
    let tape = tape();
    let analyzer = load(&tape);
    let interrupter = analyzer.interrupter();
    let over = std::sync::atomic::AtomicBool::new(false);
    let asked = |of: &dyn Fn() -> Result<(), Error>| {
        let patience = Instant::now();
        while patience.elapsed() < Duration::from_secs(20) {
            if let Err(error) = of() {
                assert!(matches!(error, Error::Interrupted), "{error}");
                return true;
            }
        }
        false
    };
    let range = Range::default();
    let book = || analyzer.reconstruct_book(A).map(drop);
    let spread = || analyzer.spread(A, range, None).map(drop);
    let vwap = || analyzer.vwap(A, range, None).map(drop);
    let imbalance = || analyzer.imbalance(A, range, None, 5).map(drop);
    let questions: [&dyn Fn() -> Result<(), Error>; 4] = [&book, &spread, &vwap, &imbalance];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                interrupter.interrupt();
            }
        });
        let stopped = questions.map(asked);
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(stopped, [true; 4]);
    });
    for question in questions {
        question().unwrap();
    }
}

#[test]
fn an_export_is_chosen_by_market_and_time() {
    let tape = tape();
    let analyzer = load(&tape);
    let out = tape.path().join("out.csv");
    let export = |selection: Selection, table| {
        analyzer.export(selection, table, &out, Existing::Overwrite).unwrap().rows
    };
    let range = |from, to| Range { from_ns: Some(at(from)), to_ns: Some(at(to)) };
    let of = |markets: &str, range| Selection { markets: Some(markets.to_owned()), range };
    assert_eq!(export(of(FED, range(3, 5)), Table::BookEvents), 2);
    assert_eq!(export(of("KX*", range(1, 3)), Table::BookEvents), 4);
    assert_eq!(export(of("kxfed-*", Range::default()), Table::Trades), 37);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 38);
    for (table, all, early, late) in [
        (Table::Markets, 2, 2, 0),
        (Table::Gaps, 1, 0, 0),
        (Table::Coverage, 2, 2, 2),
        (Table::Spans, 4, 2, 0),
        (Table::Sessions, 1, 1, 0),
    ] {
        let rows = [Range::default(), range(2, 3), range(100, 101)]
            .map(|range| export(of("*", range), table));
        assert_eq!(rows, [all, early, late], "{table:?}");
        assert!(export(of(FED, Range::default()), table) <= all);
    }
    let crossed = |selection, table| {
        let holes = analyzer.crossed(&selection, table).unwrap();
        holes.into_iter().map(|hole| (hole.from.0, hole.to.0)).collect::<Vec<_>>()
    };
    // As the spread has it: from the last frame that was right to the next snapshot.
    let hole = analyzer.spread(A, Range::default(), None).unwrap().holes;
    let holes = hole.iter().map(|hole| (hole.from.0, hole.to.0)).collect::<Vec<_>>();
    assert_eq!(crossed(of(A, Range::default()), Table::Bbo), holes);
    assert_eq!(crossed(of("KXA*", range(2, 45)), Table::BookEvents).len(), 1);
    assert_eq!(crossed(of("*", range(2, 3)), Table::BookEvents), []);
    assert_eq!(crossed(of(FED, range(-10, 3)), Table::BookEvents), [(at(-10), at(1))]);
    assert_eq!(crossed(of(FED, Range::default()), Table::Trades), []);
    assert_eq!(crossed(Selection::default(), Table::Gaps), []);

    let strict = |args: &[&str]| kalshi(&tape, &[&["export-parquet", "--strict"], args].concat());
    let output = strict(&[A, "a.parquet", "--from", "2026-05-11 05:34:00"]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(err(&output).contains("has a hole from 2026-05-11T05:34:0"), "{}", err(&output));
    let output =
        strict(&[A, "b.json", "--from", "2026-05-11 05:33:30", "--to", "2026-05-11 05:33:40"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    let output = strict(&["--all", "all", "--to", "2026-05-11 05:33:40"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    // A table without rows has its columns all the same.
    assert!(tape.path().join("all/lifecycle/lifecycle.parquet").exists());
    assert!(tape.path().join("all/gaps/gaps.parquet").exists());
    let nothing = strict(&[B, "b.csv"]);
    assert_eq!(nothing.status.code(), Some(1));
    let wrong = analyzer.export_to_parquet(A, tape.path().join("a.csv"));
    assert!(matches!(wrong, Err(Error::Suffix(_))), "no Parquet under another name");
}

#[test]
fn times_with_a_zone_are_printed() {
    let sql = "SELECT '2026-05-11 05:40:00+00'::TIMESTAMPTZ AS t";
    let found = Analyzer::new().unwrap().query(sql).unwrap();
    let text = pretty_format_batches(&found).unwrap().to_string();
    assert!(text.contains("2026-05-11T05:40:00Z"), "{text}");
}
