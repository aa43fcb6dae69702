//! One channel of a connection: which markets are still to be asked for, and which were.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::protocol::{Channel, Command, Remedy, Subscribe};

/// The way of one channel's markets into their subscription.
#[derive(Debug)]
pub(super) struct Feed {
    channel: Channel,
    /// What the subscription is to hold; refused markets are taken out.
    markets: Vec<String>,
    /// Commands' worth of markets, not yet asked for. A channel without markets has one empty.
    waiting: VecDeque<Vec<String>>,
    /// Asked for and not yet answered, by the command's id, with when that was.
    asked: HashMap<u64, (Instant, Vec<String>)>,
}

impl Feed {
    /// Markets named in one command; each of a book channel's is answered by a snapshot.
    pub(super) const MARKETS_PER_COMMAND: usize = 100;

    pub(super) fn new(channel: Channel, markets: &[String]) -> Self {
        let markets = markets.to_vec();
        let (waiting, asked) = (VecDeque::new(), HashMap::new());
        let mut feed = Self { channel, markets, waiting, asked };
        feed.restart();
        feed
    }

    pub(super) const fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn is_books(&self) -> bool {
        self.channel == Channel::OrderbookDelta
    }

    /// Whether nothing is left to ask for or to wait for.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty()
    }

    /// Forgets what was asked for and starts over.
    pub(super) fn restart(&mut self) {
        self.asked.clear();
        self.waiting = if self.channel.takes_markets() {
            self.markets.chunks(Self::MARKETS_PER_COMMAND).map(<[String]>::to_vec).collect()
        } else {
            VecDeque::from([Vec::new()])
        };
    }

    /// Adds markets.
    pub(super) fn adopt(&mut self, markets: &[String]) {
        if self.channel.takes_markets() {
            self.markets.extend_from_slice(markets);
            self.waiting.extend(markets.chunks(Self::MARKETS_PER_COMMAND).map(<[String]>::to_vec));
        }
    }

    /// The next command under this id, with its markets. A subscription to a channel that is open
    /// already is merged into it, so the first and the later commands are the same.
    pub(super) fn ask(&mut self, id: u64, now: Instant) -> Option<(Vec<String>, Command)> {
        let markets = self.waiting.pop_front()?;
        self.asked.insert(id, (now, markets.clone()));
        let subscribe = Subscribe {
            channels: vec![self.channel.as_str().to_owned()],
            market_tickers: markets.clone(),
            use_yes_price: self.is_books().then_some(false),
            skip_ticker_ack: self.channel.takes_markets().then_some(true),
            ..Subscribe::default()
        };
        Some((markets, Command::Subscribe(subscribe)))
    }

    /// The command was answered, well or badly: the markets it named.
    pub(super) fn answered(&mut self, id: u64) -> Option<Vec<String>> {
        self.asked.remove(&id).map(|(_, markets)| markets)
    }

    /// These markets are to be asked for again, before any other.
    pub(super) fn again(&mut self, markets: Vec<String>) {
        self.waiting.push_front(markets);
    }

    /// Commands that were not answered within `limit` are to be sent again. True if there are any.
    pub(super) fn send_overdue_again(&mut self, now: Instant, limit: Duration) -> bool {
        let late = |_: &u64, (since, _): &mut (Instant, Vec<String>)| {
            now.saturating_duration_since(*since) >= limit
        };
        let late: Vec<_> = self.asked.extract_if(late).map(|(_, (_, markets))| markets).collect();
        let any = !late.is_empty();
        late.into_iter().for_each(|markets| self.again(markets));
        any
    }

    /// A command was refused: its markets go back in two halves. Returns a market that was refused
    /// alone and will not be asked for again; where only the pace was wrong, it will.
    pub(super) fn halve(&mut self, mut markets: Vec<String>, remedy: Remedy) -> Option<String> {
        if markets.len() > 1 {
            let second = markets.split_off(markets.len() / 2);
            self.waiting.push_front(second);
            self.waiting.push_front(markets);
            return None;
        }
        if remedy == Remedy::SlowDown {
            self.waiting.push_back(markets);
            return None;
        }
        let refused = markets.pop()?;
        self.markets.retain(|market| *market != refused);
        Some(refused)
    }

    /// The markets that have been asked for and not refused.
    pub(super) fn subscribed(&self) -> impl Iterator<Item = &String> {
        let waits = |market: &&String| !self.waiting.iter().flatten().any(|wait| wait == *market);
        self.markets.iter().filter(waits)
    }
}
