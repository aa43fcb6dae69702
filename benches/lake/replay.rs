//! Books to best bid and ask: the pure replay in memory, and through the whole analyzer.

use std::{collections::HashMap, path::Path, time::Instant};

use kalshi_orderbook::{
    analysis::Range,
    book::Book,
    protocol::{Ladder, Message, Price, Side, Size},
    tape::{Archive, Body, Record},
};

use super::run::{self, Rival};

const BAR: f64 = 10.0;

/// A decoded message, with the number of its market.
enum Change {
    Level(u32, Side, Price, Size),
    Whole(u32, Box<(Ladder, Ladder)>),
}

pub(crate) fn run(recordings: &Path, scratch: &Path, python: Option<&Path>, rounds: usize) {
    let (changes, markets) = decode(recordings);
    let millions = changes.len() as f64 / 1e6;
    let mut quotes = 0;
    let times = (0..rounds).map(|_| {
        let start = Instant::now();
        quotes = replay(&changes, markets);
        start.elapsed().as_secs_f64()
    });
    let rate = millions / run::median(times.collect());
    println!("{millions:.2} M messages of {markets} markets, {quotes} best bids and asks");
    println!("in memory, one core: {rate:.1} M/s");
    println!("bar: {BAR} M/s: {}", if rate > BAR { "met" } else { "MISSED" });

    let lake = scratch.join("lake-replay");
    run::run(&mut run::kalshi(recordings, &lake, &["compact"]));
    let analyzer = run::open(recordings, &lake);
    let rows = analyzer.markets().unwrap();
    let times = (0..rounds).map(|_| {
        let start = Instant::now();
        for row in &rows {
            analyzer.imbalance(&row.ticker, Range::default(), None, 1).unwrap();
        }
        start.elapsed().as_secs_f64()
    });
    let rate = millions / run::median(times.collect());
    println!("from the lake, imbalance of each market: {rate:.1} M/s");

    let rival = Rival::new("Python, dictionaries", "replay_python.py", "json");
    if let Some(python) = python.filter(|python| rival.is_there(python)) {
        let run = run::run(rival.command(python).arg(recordings));
        let (messages, seconds) = run.said.trim().split_once(' ').unwrap();
        let (messages, seconds): (f64, f64) = (messages.parse().unwrap(), seconds.parse().unwrap());
        println!("{}, in memory: {:.2} M/s", rival.name, messages / seconds / 1e6);
    }
}

fn decode(recordings: &Path) -> (Vec<Change>, usize) {
    let (mut changes, mut numbers) = (Vec::new(), HashMap::new());
    let mut number = |ticker: &str| {
        let next = numbers.len() as u32;
        *numbers.entry(ticker.to_owned()).or_insert(next)
    };
    for segment in Archive::open(recordings).unwrap().segments {
        let mut reader = segment.open().unwrap();
        while let Some(line) = reader.next_line().unwrap() {
            let Ok(Record { body: Body::Frame(frame), .. }) = Record::parse(line.bytes) else {
                continue;
            };
            match Message::read(&frame) {
                Ok((_, Ok(Message::Delta(delta)))) => {
                    let market = number(&delta.ticker);
                    changes.push(Change::Level(market, delta.side, delta.price, delta.change));
                }
                Ok((_, Ok(Message::Snapshot(snapshot)))) => {
                    let market = number(&snapshot.ticker);
                    changes.push(Change::Whole(market, Box::new((snapshot.yes, snapshot.no))));
                }
                _ => {}
            }
        }
    }
    (changes, numbers.len())
}

/// Counts the changes of a best bid or ask.
fn replay(changes: &[Change], markets: usize) -> usize {
    let mut books = vec![(Book::new(), (None, None)); markets];
    let mut quotes = 0;
    for change in changes {
        let (Change::Level(market, ..) | Change::Whole(market, _)) = change;
        let (book, quote) = &mut books[*market as usize];
        // Where a recording has a hole, a change may not fit: the book stays as it is.
        let _ = match change {
            Change::Level(_, side, price, size) => book.apply(*side, *price, *size),
            Change::Whole(_, levels) => book.replace(&levels.0, &levels.1),
        };
        let now = (book.yes_bid(), book.yes_ask());
        if *quote != now {
            *quote = now;
            quotes += 1;
        }
    }
    quotes
}
