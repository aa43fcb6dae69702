//! Commands and what the exchange answers.

use serde_json::{Value, json};

use crate::exchange::{
    session::{Frame, Session},
    world::{World, WorldConfig},
};

const NOW_US: i64 = 1_790_000_000_000_000;

struct Desk {
    world: World,
    session: Session,
}

impl Desk {
    fn new() -> Self {
        let world = World::new(WorldConfig::default(), NOW_US);
        Self { world, session: Session::default() }
    }

    fn say(&mut self, text: &str) -> Vec<Value> {
        let mut frames: Vec<Frame> = Vec::new();
        self.session.command(text, &mut self.world, (NOW_US, None), &mut frames);
        frames.iter().map(|frame| serde_json::from_str(&frame.text).unwrap()).collect()
    }

    fn ask(&mut self, id: u64, cmd: &str, params: Value) -> Vec<Value> {
        self.say(&json!({"id": id, "cmd": cmd, "params": params}).to_string())
    }

    /// Subscribes to books of A and B (sid 1) and all tickers (sid 2).
    fn settled() -> Self {
        let mut desk = Self::new();
        let books = json!({"channels": ["orderbook_delta"], "market_tickers": ["KXA", "KXB"]});
        desk.ask(1, "subscribe", books);
        desk.ask(2, "subscribe", json!({"channels": ["ticker"]}));
        desk
    }
}

#[test]
fn each_channel_gets_its_own_sid_and_reply_and_books_begin_with_snapshots() {
    let params = json!({
        "channels": ["orderbook_delta", "trade", "market_lifecycle_v2"],
        "market_tickers": ["KXA", "KXB", "KXUNKNOWN-1"],
    });
    let said = Desk::new().ask(5, "subscribe", params);
    let replies: Vec<_> = said.iter().filter(|frame| frame["type"] == "subscribed").collect();
    for (reply, (channel, sid)) in
        replies.iter().zip([("orderbook_delta", 1), ("trade", 2), ("market_lifecycle_v2", 3)])
    {
        let msg = json!({"channel": channel, "sid": sid});
        assert_eq!(**reply, json!({"type": "subscribed", "id": 5, "msg": msg}));
    }
    let books: Vec<_> = said.iter().filter(|frame| frame["type"] == "orderbook_snapshot").collect();
    assert_eq!(books.iter().map(|f| f["seq"].as_u64()).collect::<Vec<_>>(), [1, 2, 3].map(Some));
    assert_eq!(books[0]["msg"]["market_ticker"], "KXA");
    assert_eq!(books[2]["msg"], json!({"market_ticker": "KXUNKNOWN-1", "market_id": ""}));
}

#[test]
fn every_documented_fault_has_its_code() {
    let update =
        |params: &str| format!(r#"{{"id":7,"cmd":"update_subscription","params":{params}}}"#);
    let subscribe = |params: &str| format!(r#"{{"id":7,"cmd":"subscribe","params":{params}}}"#);
    let rows = [
        // (command, code, id, sid, seq)
        ("{".to_owned(), 1, None, None, None),
        ("[]".to_owned(), 1, None, None, None),
        (r#"{"id":"x","cmd":"subscribe"}"#.to_owned(), 1, None, None, None),
        (r#"{"id":7,"cmd":5}"#.to_owned(), 1, Some(7), None, None),
        (r#"{"id":0,"cmd":"subscribe"}"#.to_owned(), 2, None, None, None),
        (r#"{"id":7,"cmd":"unsubscribe"}"#.to_owned(), 2, Some(7), None, None),
        (subscribe("{}"), 3, Some(7), None, None),
        (subscribe(r#"{"channels":[]}"#), 3, Some(7), None, None),
        (subscribe(r#"{"channels":"ticker"}"#), 1, Some(7), None, None),
        (r#"{"id":7,"cmd":"unsubscribe","params":{}}"#.to_owned(), 4, Some(7), None, None),
        (r#"{"id":7,"cmd":"shout","params":{}}"#.to_owned(), 5, Some(7), None, None),
        (
            r#"{"id":7,"cmd":"unsubscribe","params":{"sids":[9]}}"#.to_owned(),
            7,
            Some(7),
            None,
            None,
        ),
        (update(r#"{"sid":9,"action":"add_markets","market_ticker":"A"}"#), 7, Some(7), None, None),
        (subscribe(r#"{"channels":["ticker_v2"]}"#), 8, Some(7), None, None),
        (
            subscribe(r#"{"channels":["ticker"],"market_ticker":"A","market_tickers":["B"]}"#),
            11,
            Some(7),
            None,
            None,
        ),
        (update(r#"{"action":"add_markets"}"#), 12, Some(7), None, None),
        (update(r#"{"sids":[1,2],"action":"add_markets"}"#), 12, Some(7), None, None),
        (update(r#"{"sids":[1],"action":"dance"}"#), 13, None, Some(1), Some(3)),
        // The ticker channel does not number its messages.
        (update(r#"{"sid":2,"action":"get_snapshot"}"#), 13, None, Some(2), None),
        (subscribe(r#"{"channels":["orderbook_delta"]}"#), 14, Some(7), None, None),
        (update(r#"{"sid":1,"action":"add_markets"}"#), 14, None, Some(1), Some(3)),
        (update(r#"{"sid":1}"#), 15, Some(7), None, None),
    ];
    for (text, code, id, sid, seq) in rows {
        let said = Desk::settled().say(&text);
        assert_eq!(said.len(), 1, "{text}");
        let error = &said[0];
        assert_eq!(error["type"], "error", "{text}");
        let number = |key: &str| error[key].as_u64();
        let got = (error["msg"]["code"].as_u64(), number("id"), number("sid"), number("seq"));
        assert_eq!(got, (Some(code), id, sid, seq), "{text}");
        assert!(error["msg"]["msg"].as_str().unwrap().len() > 5, "{text}");
    }
}

#[test]
fn subscribing_again_merges_into_the_old_sid() {
    let mut desk = Desk::settled();
    let params = json!({"channels": ["orderbook_delta"], "market_tickers": ["KXB", "KXAA"]});
    let said = desk.ask(8, "subscribe", params);
    let msg = json!({"market_tickers": ["KXA", "KXAA", "KXB"]});
    assert_eq!(said[0], json!({"type": "ok", "id": 8, "sid": 1, "seq": 3, "msg": msg}));
    assert_eq!(said.len(), 2, "only the new market gets a snapshot");
    assert_eq!(said[1]["msg"]["market_ticker"], "KXAA");
    assert_eq!(said[1]["seq"], 4);
    let params = json!({
        "channels": ["orderbook_delta"], "market_tickers": ["KXA"], "skip_ticker_ack": true,
    });
    let said = desk.ask(9, "subscribe", params);
    assert_eq!(said, [json!({"type": "ok", "id": 9, "sid": 1, "seq": 5, "msg": {}})]);
}

#[test]
fn get_snapshot_answers_in_the_stream_with_the_commands_id() {
    let mut desk = Desk::settled();
    let params = |action: &str, tickers: &[&str]| json!({"sids": [1], "action": action, "market_tickers": tickers});
    let said = desk.ask(12, "update_subscription", params("get_snapshot", &["KXB", "KXNEW"]));
    let heads = said.iter().map(|f| (f["type"].as_str(), f["id"].as_u64(), f["seq"].as_u64()));
    let snapshot = Some("orderbook_snapshot");
    let heads: Vec<_> = heads.collect();
    assert_eq!(heads, [(snapshot, Some(12), Some(3)), (snapshot, Some(12), Some(4))]);
    assert!(desk.ask(13, "update_subscription", params("get_snapshot", &[])).is_empty());
    let said = desk.ask(14, "update_subscription", params("delete_markets", &["KXA"]));
    assert_eq!(said[0]["msg"], json!({"market_tickers": ["KXB"]}), "KXNEW was never held");
}

#[test]
fn subscriptions_are_listed_and_ended_and_their_sids_never_return() {
    let mut desk = Desk::settled();
    let list = desk.say(r#"{"id":3,"cmd":"list_subscriptions"}"#);
    let msg = json!([{"channel": "orderbook_delta", "sid": 1}, {"channel": "ticker", "sid": 2}]);
    assert_eq!(list, [json!({"id": 3, "type": "ok", "msg": msg})]);
    let said = desk.ask(4, "unsubscribe", json!({"sids": [1, 2]}));
    assert_eq!(said[0], json!({"id": 4, "sid": 1, "seq": 3, "type": "unsubscribed"}));
    assert_eq!(said[1], json!({"id": 4, "sid": 2, "type": "unsubscribed"}));
    let params = json!({"channels": ["orderbook_delta"], "market_ticker": "KXA"});
    let said = desk.ask(5, "subscribe", params);
    assert_eq!(said[0]["msg"]["sid"], 3);
    assert_eq!((said[1]["sid"].as_u64(), said[1]["seq"].as_u64()), (Some(3), Some(1)));
}

#[test]
fn a_ticker_subscription_can_begin_with_a_message_a_market() {
    let params = json!({
        "channels": ["ticker"], "market_tickers": ["KXA", "KXB"], "send_initial_snapshot": true,
    });
    let said = Desk::new().ask(1, "subscribe", params);
    let kinds: Vec<_> = said.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["subscribed", "ticker", "ticker"]);
    assert!(said[1].get("seq").is_none());
}
