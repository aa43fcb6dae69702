//! A connection told frame by frame, and what it does about each.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Action, PACE, Plan, Session};
use crate::ingestor::config::Limits;
use crate::protocol::{Channel, Header};

struct Scene {
    session: Session,
    now: Instant,
}

impl Scene {
    fn of(markets: usize) -> Self {
        let now = Instant::now();
        let markets = (0..markets).map(|n| format!("KX-{n}").parse().unwrap()).collect();
        let channels = vec![
            Channel::OrderbookDelta,
            Channel::Ticker,
            Channel::Trade,
            Channel::MarketLifecycle,
        ];
        let plan = Plan { markets, channels };
        Self { session: Session::new(&plan, Limits::default(), now), now }
    }

    /// Connected, with every command answered.
    fn subscribed(markets: usize) -> Self {
        let mut scene = Self::of(markets);
        scene.connected();
        scene.acknowledge();
        scene
    }

    fn connected(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        self.session.tick(self.now, &mut actions);
        actions
    }

    fn frame(&mut self, text: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        self.session.frame(&Header::parse(text).unwrap(), self.now, self.now, &mut actions);
        actions
    }

    fn snapshot(&mut self, seq: u64, market: usize) -> Vec<Action> {
        self.frame(&format!(
            r#"{{"type":"orderbook_snapshot","sid":2,"seq":{seq},"msg":{{"market_ticker":"KX-{market}","market_id":"x"}}}}"#
        ))
    }

    fn delta(&mut self, seq: u64) -> Vec<Action> {
        self.frame(&format!(
            r#"{{"type":"orderbook_delta","sid":2,"seq":{seq},"msg":{{"market_ticker":"KX-0"}}}}"#
        ))
    }

    fn pass(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        let mut actions = Vec::new();
        self.session.tick(self.now, &mut actions);
        actions
    }

    fn acknowledge(&mut self) {
        let sids =
            [("orderbook_delta", 2), ("ticker", 1), ("trade", 3), ("market_lifecycle_v2", 4)];
        for (id, (channel, sid)) in (1..).zip(sids) {
            self.frame(&format!(
                r#"{{"type":"subscribed","id":{id},"msg":{{"channel":"{channel}","sid":{sid}}}}}"#
            ));
        }
    }
}

fn commands(actions: &[Action]) -> Vec<serde_json::Value> {
    let json = |action: &Action| {
        let Action::Send { id, command } = action else { return None };
        serde_json::from_str(&command.to_json(*id)).ok()
    };
    actions.iter().filter_map(json).collect()
}

fn brief(actions: &[Action]) -> Vec<String> {
    actions.iter().map(|action| format!("{action:?}").chars().take(60).collect()).collect()
}

#[test]
fn the_four_channels_are_subscribed_and_the_price_flag_is_always_sent() {
    let sent = commands(&Scene::of(2).connected());
    let params: Vec<_> = sent.iter().map(|command| &command["params"]).collect();
    assert_eq!(params[0]["channels"], serde_json::json!(["orderbook_delta"]));
    assert_eq!(params[0]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
    assert_eq!(params[0]["use_yes_price"], serde_json::json!(false));
    assert_eq!(params[1]["channels"], serde_json::json!(["ticker"]));
    assert_eq!(params[2]["channels"], serde_json::json!(["trade"]));
    assert_eq!(params[3], &serde_json::json!({"channels": ["market_lifecycle_v2"]}));
    assert_eq!(sent.iter().map(|c| c["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn the_next_books_are_asked_for_when_the_first_have_their_snapshots() {
    let books = |actions: &[Action]| -> Vec<serde_json::Value> {
        let mut sent = commands(actions);
        sent.retain(|c| c["params"]["channels"][0] == "orderbook_delta");
        sent
    };
    let mut scene = Scene::of(250);
    assert_eq!(books(&scene.connected()).len(), 1);
    scene.acknowledge();
    for market in 0..99 {
        assert!(scene.snapshot(market as u64 + 1, market).is_empty());
    }
    assert!(books(&scene.pass(Duration::from_secs(1))).is_empty());
    scene.snapshot(100, 99);
    let sent = books(&scene.pass(Duration::from_secs(1)));
    let next = sent[0]["params"]["market_tickers"].as_array().unwrap();
    assert_eq!((next.len(), next[0].as_str()), (100, Some("KX-100")));
}

#[test]
fn a_gap_is_recorded_and_every_market_is_asked_for_again() {
    let mut scene = Scene::subscribed(2);
    scene.snapshot(1, 0);
    scene.snapshot(2, 1);
    scene.pass(Duration::from_secs(1));
    let actions = scene.delta(5);
    assert_eq!(brief(&actions), ["Record(Gap { sid: 2, expected: 3, got: 5 })"]);
    let sent = commands(&scene.pass(Duration::from_secs(1)));
    assert_eq!(sent[0]["params"]["action"], "get_snapshot");
    assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
    assert!(scene.snapshot(6, 1).is_empty());
    assert_eq!(brief(&scene.snapshot(7, 0)), ["Record(Repaired { sid: 2, markets: 2 })"]);
}

#[test]
fn a_gap_in_trades_is_recorded_and_leaves_the_books_alone() {
    let mut scene = Scene::subscribed(1);
    scene.snapshot(1, 0);
    let actions = scene.frame(r#"{"type":"trade","sid":3,"seq":4,"msg":{}}"#);
    assert_eq!(brief(&actions), ["Record(Gap { sid: 3, expected: 1, got: 4 })"]);
    assert!(scene.pass(Duration::from_secs(1)).is_empty());
}

#[test]
fn replies_count_in_the_sequence_and_repeats_are_recorded() {
    let mut scene = Scene::subscribed(1);
    scene.snapshot(1, 0);
    assert!(scene.frame(r#"{"type":"ok","id":5,"sid":2,"seq":2,"msg":{}}"#).is_empty());
    assert!(scene.delta(3).is_empty());
    assert_eq!(brief(&scene.delta(3)), ["Record(Repeat { sid: 2, expected: 4, got: 3 })"]);
}

#[test]
fn silence_is_pinged_and_then_given_up() {
    let mut scene = Scene::subscribed(1);
    scene.snapshot(1, 0);
    assert_eq!(brief(&scene.pass(Duration::from_secs(10))), ["Ping"]);
    assert!(scene.pass(Duration::from_secs(5)).is_empty());
    assert_eq!(
        brief(&scene.pass(Duration::from_secs(15))),
        ["Reconnect(\"no frame of any kind for 30.0 s\")"]
    );
}

#[test]
fn one_dark_market_is_asked_for_again_and_all_dark_is_a_dead_connection() {
    let mut scene = Scene::subscribed(2);
    scene.snapshot(1, 0);
    for _ in 0..3 {
        scene.pass(Duration::from_secs(15));
        scene.session.alive(scene.now);
        let sent = commands(&scene.pass(Duration::from_secs(15)));
        assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["KX-1"]));
        scene.session.alive(scene.now);
    }

    let mut scene = Scene::subscribed(2);
    scene.pass(Duration::from_secs(15));
    scene.session.alive(scene.now);
    let actions = scene.pass(Duration::from_secs(15));
    let last = brief(&actions).pop().unwrap();
    assert!(last.starts_with("Reconnect(\"no snapshot came"), "{last}");
}

#[test]
fn an_unknown_market_is_named() {
    let mut scene = Scene::subscribed(1);
    let actions = scene.frame(
        r#"{"type":"orderbook_snapshot","sid":2,"seq":1,"msg":{"market_ticker":"KX-0","market_id":""}}"#,
    );
    assert_eq!(brief(&actions), ["Record(UnknownMarket { ticker: \"KX-0\" })"]);
}

#[test]
fn a_dead_subscription_is_made_again_and_not_at_once() {
    for code in [10, 25] {
        let mut scene = Scene::subscribed(2);
        scene.snapshot(1, 0);
        scene.snapshot(2, 1);
        scene.pass(Duration::from_secs(1));
        let error =
            format!(r#"{{"type":"error","sid":2,"seq":3,"msg":{{"code":{code},"msg":"m"}}}}"#);
        assert!(scene.frame(&error).is_empty());
        let sent = commands(&scene.pass(Duration::from_millis(100)));
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0]["params"]["channels"], serde_json::json!(["orderbook_delta"]));
        assert_eq!(sent[0]["params"]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
    }
}

#[test]
fn a_subscription_that_could_not_be_made_is_asked_for_again_soon() {
    for code in [7, 10, 17, 25] {
        let mut scene = Scene::of(2);
        scene.connected();
        let error = format!(r#"{{"type":"error","id":1,"msg":{{"code":{code},"msg":"m"}}}}"#);
        assert!(scene.frame(&error).is_empty());
        let sent = commands(&scene.pass(Duration::from_millis(100)));
        let names: Vec<_> = sent.iter().map(|c| c["cmd"].as_str().unwrap()).collect();
        assert_eq!(names, ["list_subscriptions", "subscribe"]);
        assert_eq!(sent[1]["params"]["market_tickers"], serde_json::json!(["KX-0", "KX-1"]));
    }
}

#[test]
fn a_refused_command_is_tried_in_halves_until_the_bad_market_is_alone() {
    let mut scene = Scene::of(8);
    let mut open = commands(&scene.connected());
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        for command in std::mem::take(&mut open) {
            if command["params"]["channels"][0] != "orderbook_delta" {
                continue;
            }
            let markets: Vec<String> =
                serde_json::from_value(command["params"]["market_tickers"].clone()).unwrap();
            let id = &command["id"];
            let actions = if markets.contains(&"KX-5".to_owned()) {
                scene.frame(&format!(
                    r#"{{"type":"error","id":{id},"msg":{{"code":11,"msg":"Invalid parameter"}}}}"#
                ))
            } else {
                accepted.extend(markets.iter().cloned());
                for market in &markets {
                    scene.session.books.snapshot(market, scene.now);
                }
                scene.frame(&format!(r#"{{"type":"ok","id":{id}}}"#))
            };
            refused.extend(brief(&actions).into_iter().filter(|a| a.starts_with("Record")));
            open.extend(commands(&actions));
        }
        open.extend(commands(&scene.pass(Duration::from_secs(1))));
        scene.session.alive(scene.now);
    }
    accepted.sort();
    assert_eq!(accepted, ["KX-0", "KX-1", "KX-2", "KX-3", "KX-4", "KX-6", "KX-7"]);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("Record(RefusedMarket { ticker: \"KX-5\""), "{refused:?}");
}

#[test]
fn a_channel_that_does_not_exist_is_not_asked_for_again() {
    let mut scene = Scene::of(250);
    let id = commands(&scene.connected())[1]["id"].clone();
    let error = format!(r#"{{"type":"error","id":{id},"msg":{{"code":8,"msg":"m"}}}}"#);
    assert!(scene.frame(&error).is_empty());
    let sent = commands(&scene.pass(Duration::from_secs(1)));
    assert!(sent.iter().all(|c| c["params"]["channels"][0] != "ticker"), "{sent:?}");
}

#[test]
fn too_many_requests_slow_us_down_and_make_us_ask_what_is_subscribed() {
    let mut scene = Scene::of(2);
    scene.connected();
    for code in [18, 27] {
        let error = format!(r#"{{"type":"error","id":1,"msg":{{"code":{code},"msg":"m"}}}}"#);
        assert!(scene.frame(&error).is_empty());
        let sent = commands(&scene.pass(Duration::from_secs(6)));
        assert_eq!(sent[0]["cmd"], "list_subscriptions");
        scene.session.alive(scene.now);
    }
    assert!(scene.session.pace >= PACE * 4);
}

#[test]
fn one_dark_market_does_not_hold_back_the_others() {
    let mut scene = Scene::of(250);
    let mut sent = commands(&scene.connected());
    scene.acknowledge();
    let mut seq = 0;
    let mut asked = BTreeSet::new();
    for _ in 0..40 {
        for command in std::mem::take(&mut sent) {
            let markets = command["params"]["market_tickers"].clone();
            let markets: Vec<String> = serde_json::from_value(markets).unwrap_or_default();
            scene.frame(&format!(r#"{{"type":"ok","id":{}}}"#, command["id"]));
            if command["params"]["channels"][0] != "orderbook_delta" {
                continue;
            }
            for market in markets {
                asked.insert(market.clone());
                if market != "KX-7" {
                    seq += 1;
                    let number: usize = market.strip_prefix("KX-").unwrap().parse().unwrap();
                    sent.extend(commands(&scene.snapshot(seq, number)));
                }
            }
        }
        sent.extend(commands(&scene.pass(Duration::from_millis(500))));
        scene.session.alive(scene.now);
    }
    assert_eq!(asked.len(), 250);
}

#[test]
fn a_dead_book_channel_is_given_up_though_other_frames_come() {
    let mut scene = Scene::subscribed(2);
    scene.snapshot(1, 0);
    scene.snapshot(2, 1);
    scene.frame(r#"{"type":"error","sid":2,"seq":3,"msg":{"code":25,"msg":"m"}}"#);
    let mut last = Vec::new();
    for _ in 0..40 {
        scene.session.alive(scene.now);
        last = brief(&scene.pass(Duration::from_secs(1)));
        if last.iter().any(|action| action.starts_with("Reconnect")) {
            return;
        }
    }
    panic!("still there: {last:?}");
}

#[test]
fn a_market_limit_is_found_and_the_rest_is_declared() {
    let mut scene = Scene::of(4);
    let mut sent = commands(&scene.connected());
    let (mut held, mut refused, mut count) = (BTreeSet::new(), 0, 0);
    for _ in 0..100 {
        for command in std::mem::take(&mut sent) {
            count += 1;
            let id = &command["id"];
            let markets = command["params"]["market_tickers"].clone();
            let markets: Vec<String> = serde_json::from_value(markets).unwrap_or_default();
            let books = command["params"]["channels"][0] == "orderbook_delta";
            let actions = if books && held.len() + markets.len() > 3 {
                scene.frame(&format!(
                    r#"{{"type":"error","id":{id},"msg":{{"code":26,"msg":"m"}}}}"#
                ))
            } else {
                if books {
                    held.extend(markets.iter().cloned());
                    for market in &markets {
                        scene.session.books.snapshot(market, scene.now);
                    }
                }
                scene.frame(&format!(r#"{{"type":"ok","id":{id}}}"#))
            };
            refused += brief(&actions).iter().filter(|a| a.contains("RefusedMarket")).count();
            sent.extend(commands(&actions));
        }
        sent.extend(commands(&scene.pass(Duration::from_secs(1))));
        scene.session.alive(scene.now);
    }
    assert_eq!((held.len(), refused), (3, 1));
    assert!(count < 30, "{count} commands");
}

#[test]
fn a_subscription_that_the_exchange_does_not_list_is_made_again() {
    let mut scene = Scene::of(1);
    let sent = commands(&scene.connected());
    for command in &sent {
        scene.frame(&format!(r#"{{"type":"ok","id":{}}}"#, command["id"]));
    }
    scene.snapshot(1, 0);
    let list = r#"{"type":"ok","id":9,"msg":[{"channel":"orderbook_delta","sid":1},
        {"channel":"trade","sid":3},{"channel":"market_lifecycle_v2","sid":4}]}"#;
    scene.frame(list);
    let sent = commands(&scene.pass(Duration::from_secs(1)));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["params"]["channels"], serde_json::json!(["ticker"]));
}

#[test]
fn no_access_is_final_and_unknown_errors_are_survived() {
    let error = |code| format!(r#"{{"type":"error","id":99,"msg":{{"code":{code},"msg":"m"}}}}"#);
    let mut scene = Scene::of(1);
    scene.connected();
    assert!(scene.frame(&error(8)).is_empty());
    assert!(scene.frame(&error(999)).is_empty());
    assert!(scene.frame(r#"{"type":"error","msg":"not an object"}"#).is_empty());
    assert!(brief(&scene.frame(&error(9)))[0].starts_with("Refused"));
}
