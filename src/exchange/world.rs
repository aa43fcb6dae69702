//! All markets and the passing of time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    ops::RangeInclusive,
    time::Duration,
};

use fastrand::Rng;

use super::{
    event::{Event, Kind},
    market::Market,
    truth::BookImage,
};

/// After a pause the market catches up on at most this much time.
const CATCH_UP_US: i64 = 250_000;
const US_PER_S: i64 = 1_000_000;

/// How the simulated markets behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorldConfig {
    /// Determines every market, together with its ticker.
    pub(super) seed: u64,
    /// Events per second over all markets.
    pub(super) rate: u32,
    /// How long a market trades before it closes; `None` is for ever.
    pub(super) market_life: Option<RangeInclusive<Duration>>,
    /// How long after a close the empty snapshots come.
    pub(super) empty_after: RangeInclusive<Duration>,
}

impl Default for WorldConfig {
    fn default() -> Self {
        let empty_after = Duration::from_millis(500)..=Duration::from_secs(25);
        Self { seed: 1, rate: 1_000, market_life: None, empty_after }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Chore {
    Close,
    Resend,
    Determine,
    Settle,
}

/// Every market that anybody has asked for.
#[derive(Debug)]
pub(super) struct World {
    config: WorldConfig,
    rng: Rng,
    markets: Vec<Market>,
    by_ticker: HashMap<String, usize>,
    /// Running sums of the markets' weights; rebuilt when `None`.
    weights: Option<Vec<u64>>,
    agenda: BinaryHeap<Reverse<(i64, usize, Chore)>>,
    events: Vec<Event>,
    now_us: i64,
    /// Events owed, in millionths.
    owed: i64,
    /// Events to come at once.
    burst: i64,
}

impl World {
    /// An exchange without markets at `now_us` (µs since the epoch).
    #[must_use]
    pub(super) fn new(config: WorldConfig, now_us: i64) -> Self {
        Self {
            rng: Rng::with_seed(config.seed),
            config,
            markets: Vec::new(),
            by_ticker: HashMap::new(),
            weights: None,
            agenda: BinaryHeap::new(),
            events: Vec::new(),
            now_us,
            owed: 0,
            burst: 0,
        }
    }

    /// The market of a ticker, made if nobody has asked for it before.
    pub(super) fn open(&mut self, ticker: &str) -> usize {
        if let Some(&market) = self.by_ticker.get(ticker) {
            return market;
        }
        let index = self.markets.len();
        let market = Market::new(self.config.seed, ticker, index, self.now_us);
        if market.is_known() {
            if let Some(life) = self.config.market_life.clone() {
                let due = self.now_us + self.within(&life);
                self.agenda.push(Reverse((due, index, Chore::Close)));
            }
            self.events.push(Event { market: index, ts_us: self.now_us, kind: Kind::Created });
        }
        self.by_ticker.insert(ticker.to_owned(), index);
        self.markets.push(market);
        self.weights = None;
        index
    }

    /// The market at a position.
    #[must_use]
    pub(super) fn market(&self, index: usize) -> Option<&Market> {
        self.markets.get(index)
    }

    /// Every market, in the order first asked for.
    #[must_use]
    pub(super) fn markets(&self) -> &[Market] {
        &self.markets
    }

    /// The true books of all known markets.
    #[must_use]
    pub(super) fn books(&self) -> Vec<BookImage> {
        self.markets.iter().filter(|market| market.is_known()).map(Market::book).collect()
    }

    /// Changes the number of events per second.
    pub(super) fn set_rate(&mut self, rate: u32) {
        self.config.rate = rate;
    }

    /// About so many events come at once, whatever the rate.
    pub(super) fn burst(&mut self, events: u32) {
        self.burst += i64::from(events) * US_PER_S;
    }

    /// Closes a market now, with all that follows; the market is made if need be.
    pub(super) fn close(&mut self, ticker: &str) {
        let index = self.open(ticker);
        self.agenda.push(Reverse((self.now_us, index, Chore::Close)));
    }

    /// Takes the events since the last call, in order.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Lets everything happen that is due by `now_us`, and gives the time to what comes next.
    ///
    /// A clock that goes back stands still.
    pub(super) fn advance(&mut self, now_us: i64) {
        let start_us = self.now_us;
        self.now_us = now_us.max(start_us);
        let passed_us = (self.now_us - start_us).min(CATCH_UP_US);
        let rate = i64::from(self.config.rate);
        // What an action told too much is owed back, hence the lower bound is left open.
        self.owed = (self.owed + rate * passed_us).min(rate * CATCH_UP_US);
        self.owed += std::mem::take(&mut self.burst);
        let planned = (self.owed / US_PER_S).max(1);
        while self.owed > 0 {
            let Some(index) = self.any_market() else {
                self.owed = 0;
                break;
            };
            let done = planned - self.owed / US_PER_S;
            let ts_us = self.now_us - passed_us * (planned - done).clamp(0, planned) / planned;
            let told = self.events.len();
            if let Some(market) = self.markets.get_mut(index) {
                market.act(ts_us, &mut self.events);
            }
            let told = self.events.len() - told;
            // An action that came to nothing still takes its turn, so that the loop ends.
            self.owed -= i64::try_from(told.max(1)).unwrap_or(i64::MAX / US_PER_S) * US_PER_S;
        }
        self.do_chores();
    }

    fn do_chores(&mut self) {
        let ts_us = self.now_us;
        while let Some(&Reverse((due, index, chore))) = self.agenda.peek() {
            if due > ts_us {
                break;
            }
            self.agenda.pop();
            let Some(market) = self.markets.get_mut(index) else { continue };
            match chore {
                Chore::Close if market.is_open() => {
                    market.close(ts_us, &mut self.events);
                    self.weights = None;
                    self.plan_after_close(index);
                }
                Chore::Close => {}
                Chore::Resend => {
                    self.events.push(Event { market: index, ts_us, kind: Kind::Resent })
                }
                Chore::Determine => {
                    let kind = Kind::Determined(market.result());
                    self.events.push(Event { market: index, ts_us, kind });
                }
                Chore::Settle => {
                    self.events.push(Event { market: index, ts_us, kind: Kind::Settled });
                }
            }
        }
    }

    fn plan_after_close(&mut self, index: usize) {
        let range = self.config.empty_after.clone();
        let first = self.now_us + self.within(&range);
        self.agenda.push(Reverse((first, index, Chore::Resend)));
        if self.rng.bool() {
            let again = self.rng.i64(1_000..=50_000);
            self.agenda.push(Reverse((first + again, index, Chore::Resend)));
        }
        self.agenda.push(Reverse((first + US_PER_S, index, Chore::Determine)));
        self.agenda.push(Reverse((first + 3 * US_PER_S, index, Chore::Settle)));
    }

    fn any_market(&mut self) -> Option<usize> {
        let weights = self.weights.get_or_insert_with(|| {
            let running = |sum: &mut u64, market: &Market| {
                *sum += market.weight();
                Some(*sum)
            };
            self.markets.iter().scan(0, running).collect()
        });
        let total = *weights.last()?;
        if total == 0 {
            return None;
        }
        let ball = self.rng.u64(0..total);
        Some(weights.partition_point(|&sum| sum <= ball))
    }

    fn within(&mut self, range: &RangeInclusive<Duration>) -> i64 {
        let us = |d: &Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX / 4);
        let (low, high) = (us(range.start()), us(range.end()));
        self.rng.i64(low..=high.max(low))
    }
}
