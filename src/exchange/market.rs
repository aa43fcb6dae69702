//! One simulated market, kept as single resting orders.
//!
//! Nothing here keeps levels: the book is summed from the orders when asked for, and the changes
//! are told as the actions happen. The two agree only if both are right.

use std::collections::BTreeMap;

use fastrand::Rng;
use sha2::{Digest, Sha256};

use super::{
    event::{Event, Fill, Kind, Quote},
    grid::Grid,
    truth::BookImage,
};
use crate::protocol::{Price, Side, Size};

/// Tickers that hold this text are unknown to the exchange.
pub const UNKNOWN: &str = "UNKNOWN";

/// Ticker messages of one market are at least this far apart.
const QUOTE_EVERY_US: i64 = 1_000_000;

#[derive(Debug, Clone, Copy)]
struct Order {
    id: u64,
    side: Side,
    /// In yes-leg dollars on both sides, so that orders of both sides compare.
    yes_price: Price,
    size: Size,
}

impl Order {
    fn price(&self) -> Price {
        match self.side {
            Side::Yes => self.yes_price,
            Side::No => self.yes_price.complement(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
    Unknown,
}

/// One market: its resting orders, and the seeded source of what happens next.
#[derive(Debug, Clone)]
pub(super) struct Market {
    index: usize,
    ticker: String,
    quoted_ticker: String,
    id: String,
    grid: Grid,
    phase: Phase,
    weight: u64,
    crowd: usize,
    opened_us: i64,
    rng: Rng,
    orders: Vec<Order>,
    next_order: u64,
    /// YES orders rest below this tick and NO orders above it whenever an action has ended.
    fair: i64,
    last_trade: Option<(Price, Size)>,
    volume: Size,
    open_interest: Size,
    quoted_us: i64,
    quote: Option<Quote>,
}

impl Market {
    /// Makes the market that `seed` and `ticker` determine, with its first orders resting.
    #[must_use]
    pub(super) fn new(seed: u64, ticker: &str, index: usize, now_us: i64) -> Self {
        let digest: [u8; 32] = Sha256::digest(ticker).into();
        let mut rng = Rng::with_seed(seed ^ u64::from_le_bytes(first(&digest)));
        let grid = match rng.u8(0..10) {
            0..6 => Grid::Cent,
            6..8 => Grid::Deci,
            8 => Grid::Tapered,
            _ => Grid::CentiEdge,
        };
        let unknown = ticker.contains(UNKNOWN);
        let fair = rng.i64(grid.steps() / 10..=grid.steps() * 9 / 10);
        let mut market = Self {
            index,
            ticker: ticker.to_owned(),
            quoted_ticker: serde_json::Value::from(ticker).to_string(),
            id: if unknown { String::new() } else { uuid(first(&digest)) },
            grid,
            phase: if unknown { Phase::Unknown } else { Phase::Open },
            // The reciprocal of a uniform number falls off as Zipf's law does by rank.
            weight: 1_000_000 / rng.u64(20..=10_000),
            crowd: rng.usize(20..=200),
            opened_us: now_us,
            rng,
            orders: Vec::new(),
            next_order: 1,
            fair,
            last_trade: None,
            volume: Size::ZERO,
            open_interest: Size::ZERO,
            quoted_us: 0,
            quote: None,
        };
        if !unknown {
            for _ in 0..market.crowd {
                let order = market.draft();
                market.orders.push(order);
            }
        }
        market
    }

    /// The ticker as asked for.
    #[must_use]
    pub(super) fn ticker(&self) -> &str {
        &self.ticker
    }

    /// The ticker as a JSON string.
    #[must_use]
    pub(super) fn quoted_ticker(&self) -> &str {
        &self.quoted_ticker
    }

    /// The market's UUID, derived from the ticker; empty for an unknown market.
    #[must_use]
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The price grid.
    #[must_use]
    pub(super) const fn grid(&self) -> Grid {
        self.grid
    }

    /// When the market was first asked for, µs since the epoch.
    #[must_use]
    pub(super) const fn opened_us(&self) -> i64 {
        self.opened_us
    }

    /// Whether the exchange has such a market.
    #[must_use]
    pub(super) fn is_known(&self) -> bool {
        self.phase != Phase::Unknown
    }

    /// Whether orders are accepted.
    #[must_use]
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The share of all activity, relative to other markets; 0 when nothing can happen.
    #[must_use]
    pub(super) fn weight(&self) -> u64 {
        if self.is_open() { self.weight } else { 0 }
    }

    /// The outcome by the fair price, once closed.
    #[must_use]
    pub(super) fn result(&self) -> Side {
        if self.fair * 2 > self.grid.steps() { Side::Yes } else { Side::No }
    }

    /// Sums the resting orders into a book.
    #[must_use]
    pub(super) fn book(&self) -> BookImage {
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        let [yes, no] = &mut sides;
        for order in &self.orders {
            let side = match order.side {
                Side::Yes => &mut *yes,
                Side::No => &mut *no,
            };
            *side.entry(order.price()).or_insert(Size::ZERO) += order.size;
        }
        let [yes, no] = sides.map(|side| side.into_iter().rev().collect());
        BookImage { ticker: self.ticker.clone(), yes, no }
    }

    /// What a ticker message would say.
    #[must_use]
    pub(super) fn quote(&self) -> Quote {
        let best =
            |side| self.orders.iter().filter(move |o| o.side == side).map(Order::price).max();
        let size = |side, price| {
            let at_best = |o: &&Order| o.side == side && Some(o.price()) == price;
            self.orders.iter().filter(at_best).map(|o| o.size).sum()
        };
        let (yes, no) = (best(Side::Yes), best(Side::No));
        Quote {
            yes_bid: yes,
            yes_bid_size: size(Side::Yes, yes),
            yes_ask: no.map(Price::complement),
            yes_ask_size: size(Side::No, no),
            last_trade: self.last_trade,
            volume: self.volume,
            open_interest: self.open_interest,
        }
    }

    /// Lets one thing happen: an order, a cancel, an amendment, a sweep, a move of the price.
    ///
    /// All changes of one action carry the same time, as on the real exchange.
    pub(super) fn act(&mut self, ts_us: i64, events: &mut Vec<Event>) {
        if !self.is_open() {
            return;
        }
        let crowded = self.orders.len() > self.crowd;
        match self.rng.u32(0..100) {
            0..3 => self.sweep(ts_us, events),
            3..6 => self.requote(ts_us, events),
            6..34 => self.amend(ts_us, events),
            34..62 if crowded => self.place(ts_us, events),
            34..72 if !crowded => self.place(ts_us, events),
            _ => self.cancel(ts_us, events),
        }
        self.tell_quote(ts_us, events);
    }

    /// Closes the market: every resting order goes in one burst with one time.
    pub(super) fn close(&mut self, ts_us: i64, events: &mut Vec<Event>) {
        if !self.is_open() {
            return;
        }
        self.phase = Phase::Closed;
        while let Some(order) = self.orders.pop() {
            events.push(self.change(&order, negated(order.size), ts_us));
        }
    }

    fn place(&mut self, ts_us: i64, events: &mut Vec<Event>) {
        let order = self.draft();
        events.push(self.change(&order, order.size, ts_us));
        self.orders.push(order);
    }

    fn cancel(&mut self, ts_us: i64, events: &mut Vec<Event>) {
        if let Some(order) = self.take_any() {
            events.push(self.change(&order, negated(order.size), ts_us));
        }
    }

    fn amend(&mut self, ts_us: i64, events: &mut Vec<Event>) {
        let Some(mut order) = self.take_any() else { return };
        events.push(self.change(&order, negated(order.size), ts_us));
        let new = self.draft();
        if new.side == order.side && self.rng.bool() {
            order.yes_price = new.yes_price;
        }
        order.size = new.size;
        events.push(self.change(&order, order.size, ts_us));
        self.orders.push(order);
    }

    /// A taker walks through the best levels of one side; the fair price follows.
    fn sweep(&mut self, ts_us: i64, events: &mut Vec<Event>) {
        let maker_side = self.any_side();
        let mut wanted = Size::from_units(self.draft().size.units().saturating_mul(3));
        let taker = match maker_side {
            Side::Yes => Side::No,
            Side::No => Side::Yes,
        };
        while wanted > Size::ZERO {
            let Some(at) = self.best(maker_side) else { break };
            let Some(order) = self.orders.get_mut(at) else { break };
            let taken = order.size.min(wanted);
            order.size += negated(taken);
            wanted += negated(taken);
            let maker = *order;
            if order.size == Size::ZERO {
                self.orders.swap_remove(at);
            }
            events.push(self.change(&maker, negated(taken), ts_us));
            let trade_id = uuid(self.rng.u128(..).to_le_bytes());
            let fill = Fill { trade_id, yes_price: maker.yes_price, size: taken, taker };
            events.push(Event { market: self.index, ts_us, kind: Kind::Trade(fill) });
            self.last_trade = Some((maker.yes_price, taken));
            self.volume += taken;
            if self.rng.bool() {
                self.open_interest += taken;
            }
        }
    }

    /// The fair price moves: an order comes in at the new price, across the other side, and only
    /// then do the orders it crosses leave. In between the book is locked or crossed.
    fn requote(&mut self, ts_us: i64, events: &mut Vec<Event>) {
        let step = self.rng.i64(1..=3);
        let step = if self.rng.bool() { step } else { -step };
        let fair = self.fair + step;
        if fair < 3 || fair > self.grid.steps() - 3 {
            return;
        }
        self.fair = fair;
        let side = if step > 0 { Side::Yes } else { Side::No };
        let mut order = self.draft();
        order.side = side;
        order.yes_price = self.grid.price(fair - step.signum());
        events.push(self.change(&order, order.size, ts_us));
        self.orders.push(order);
        let fair = self.grid.price(fair);
        let crossed = |o: &Order| match o.side {
            Side::Yes => o.yes_price >= fair,
            Side::No => o.yes_price <= fair,
        };
        while let Some(at) = self.orders.iter().position(crossed) {
            let gone = self.orders.swap_remove(at);
            events.push(self.change(&gone, negated(gone.size), ts_us));
        }
    }

    fn tell_quote(&mut self, ts_us: i64, events: &mut Vec<Event>) {
        if ts_us - self.quoted_us < QUOTE_EVERY_US {
            return;
        }
        let quote = self.quote();
        if self.quote.as_ref() != Some(&quote) {
            self.quoted_us = ts_us;
            self.quote = Some(quote.clone());
            events.push(Event { market: self.index, ts_us, kind: Kind::Quote(quote) });
        }
    }

    fn change(&self, order: &Order, size: Size, ts_us: i64) -> Event {
        let kind = Kind::Change { side: order.side, price: order.price(), size };
        Event { market: self.index, ts_us, kind }
    }

    fn any_side(&mut self) -> Side {
        if self.rng.bool() { Side::Yes } else { Side::No }
    }

    fn take_any(&mut self) -> Option<Order> {
        if self.orders.is_empty() {
            return None;
        }
        let at = self.rng.usize(0..self.orders.len());
        Some(self.orders.swap_remove(at))
    }

    /// The oldest order at the best price of a side.
    fn best(&self, side: Side) -> Option<usize> {
        let mine = self.orders.iter().enumerate().filter(|(_, o)| o.side == side);
        mine.max_by_key(|(_, o)| (o.price(), u64::MAX - o.id)).map(|(at, _)| at)
    }

    /// An order nobody has sent yet, on its own side of the fair price and near it.
    fn draft(&mut self) -> Order {
        let side = self.any_side();
        let room = match side {
            Side::Yes => self.fair - 1,
            Side::No => self.grid.steps() - 1 - self.fair,
        };
        let spread = self.rng.i64(1..=40).min(room.max(1));
        let depth = self.rng.i64(1..=spread);
        let tick = match side {
            Side::Yes => self.fair - depth,
            Side::No => self.fair + depth,
        };
        let size = match self.rng.u32(0..100) {
            0..14 => self.rng.i64(1..=50_000),
            14..80 => self.rng.i64(1..=100) * 100,
            _ => self.rng.i64(1..=5_000) * 100,
        };
        let id = self.next_order;
        self.next_order += 1;
        Order { id, side, yes_price: self.grid.price(tick), size: Size::from_units(size) }
    }
}

const fn negated(size: Size) -> Size {
    Size::from_units(-size.units())
}

fn first<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// Writes sixteen bytes as a version-4 UUID.
fn uuid(bytes: [u8; 16]) -> String {
    let mut bits = u128::from_be_bytes(bytes);
    bits = bits & !(0xf << 76) | (0x4 << 76);
    bits = bits & !(0x3 << 62) | (0x2 << 62);
    let mut text = format!("{bits:032x}");
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}
