//! Streams that end or begin anew without a gap in their numbers: a book that nobody tells of any
//! more is not known, whatever the file goes on to say about other things.

use kalshi_orderbook::analysis::Analyzer;

const START: i64 = 1_778_733_000_000_000_000;

fn snapshot(seq: u64, price: &str) -> String {
    format!(
        r#"{{"type":"orderbook_snapshot","sid":2,"seq":{seq},"msg":{{"market_ticker":"KXIT-26","yes_dollars_fp":[["{price}","10.00"]],"no_dollars_fp":[["0.5000","5.00"]]}}}}"#
    )
}

fn delta(seq: u64, price: &str) -> String {
    format!(
        r#"{{"type":"orderbook_delta","sid":2,"seq":{seq},"msg":{{"market_ticker":"KXIT-26","price_dollars":"{price}","delta_fp":"1.00","side":"yes"}}}}"#
    )
}

/// The status after the n-th of some frames of one connection, which a quote keeps alive.
fn status_after(n: i64, frames: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let quote = r#"{"type":"ticker","sid":1,"msg":{"market_ticker":"KXIT-26"}}"#.to_owned();
    let lines: String = (START..)
        .zip(frames.iter().chain([&quote, &quote]))
        .map(|(ns, frame)| format!("{{\"recv_ns\":{ns},\"conn\":1,\"frame\":{frame}}}\n"))
        .collect();
    std::fs::write(folder.path().join("strange.jsonl"), lines).unwrap();
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(folder.path()).unwrap();
    let book = analyzer.reconstruct_book_at("KXIT-26", START + n - 1).unwrap();
    book.status.as_str().to_owned()
}

#[test]
fn a_book_is_stale_after_its_subscription_has_ended_by_error() {
    let error = r#"{"type":"error","sid":2,"seq":3,"msg":{"code":25,"msg":"overflow"}}"#;
    let frames = [snapshot(1, "0.4000"), delta(2, "0.4000"), error.to_owned()];
    assert_eq!(status_after(2, &frames), "ok");
    assert_eq!(status_after(4, &frames), "stale");
}

#[test]
fn a_book_is_stale_after_its_subscription_was_given_up() {
    let end = r#"{"id":5,"sid":2,"seq":3,"type":"unsubscribed"}"#;
    let frames = [snapshot(1, "0.4000"), delta(2, "0.4000"), end.to_owned()];
    assert_eq!(status_after(2, &frames), "ok");
    assert_eq!(status_after(4, &frames), "stale");
}

#[test]
fn a_snapshot_with_a_number_that_had_come_before_is_not_left_out_of_an_ok_book() {
    // A recorder that gives every connection the same number: the second snapshot is another
    // session's, not a repetition.
    let frames = [
        snapshot(1, "0.4000"),
        delta(2, "0.4000"),
        snapshot(1, "0.1000"),
        delta(2, "0.1000"),
        delta(3, "0.1000"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (START..)
        .zip(&frames)
        .map(|(ns, frame)| format!("{{\"recv_ns\":{ns},\"conn\":1,\"frame\":{frame}}}\n"))
        .collect();
    std::fs::write(folder.path().join("strange.jsonl"), lines).unwrap();
    let analyzer = Analyzer::new().unwrap();
    analyzer.load_logs(folder.path()).unwrap();
    let book = analyzer.reconstruct_book_at("KXIT-26", START + 4).unwrap();
    let bid = book.book.yes_bid().map(|(price, size)| (price.units(), size.units()));
    assert!(
        bid == Some((1_000, 1_200)) || book.status.as_str() == "stale",
        "{} with the best bid {bid:?}",
        book.status.as_str()
    );
}

#[test]
fn frames_of_a_number_that_had_come_before_with_other_content_end_what_is_known() {
    // An appended session without its snapshot, which grows past the first one's last number.
    let frames = [
        snapshot(1, "0.4000"),
        delta(2, "0.4000"),
        delta(3, "0.4000"),
        delta(2, "0.2000"),
        delta(3, "0.3000"),
        delta(4, "0.1000"),
    ];
    assert_eq!(status_after(3, &frames), "ok");
    assert_eq!(status_after(6, &frames), "stale");
}
