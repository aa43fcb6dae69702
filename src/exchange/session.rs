//! One connection's subscriptions: commands and events in, frames out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    command::{self, Channel, Command, Subscribe, Update},
    event::{Event, Kind},
    truth::Position,
    wire::{self, NoLeg, Stamp},
    world::World,
};

/// A text to send, with its place in a subscription's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The subscription, unless it answers a command at large.
    pub(super) sid: Option<u64>,
    /// The sequence number, if it took one.
    pub(super) seq: Option<u64>,
    /// The text with its newline.
    pub(super) text: String,
}

/// What one client is subscribed to.
#[derive(Debug, Default)]
pub(super) struct Session {
    subscriptions: BTreeMap<u64, Subscription>,
    last_sid: u64,
    owed: Vec<Owed>,
}

/// Snapshots that are to come later, by script.
#[derive(Debug)]
struct Owed {
    due_us: i64,
    sid: u64,
    id: Option<i64>,
    markets: Vec<usize>,
    /// Whether the markets join the subscription with them.
    join: bool,
}

#[derive(Debug)]
struct Subscription {
    channel: Channel,
    seq: u64,
    /// `None` is every market.
    markets: Option<BTreeSet<usize>>,
    no_leg: NoLeg,
    skip_ticker_ack: bool,
}

impl Subscription {
    fn stamp(&mut self, sid: u64, now_us: i64) -> Stamp {
        let seq = self.channel.is_sequenced().then(|| {
            self.seq += 1;
            self.seq
        });
        Stamp { sid, seq, sent_ms: now_us / 1_000 }
    }

    fn holds(&self, market: usize) -> bool {
        self.markets.as_ref().is_none_or(|markets| markets.contains(&market))
    }

    fn snapshot(
        &mut self,
        id: Option<i64>,
        sid: u64,
        market: usize,
        world: &World,
        now_us: i64,
    ) -> Option<Frame> {
        let market = world.market(market)?;
        let stamp = self.stamp(sid, now_us);
        Some(frame(stamp, wire::snapshot(id, stamp, market, &market.book(), self.no_leg)))
    }

    fn summary(&mut self, sid: u64, market: usize, world: &World, now_us: i64) -> Option<Frame> {
        let market = world.market(market).filter(|market| market.is_known())?;
        let stamp = self.stamp(sid, now_us);
        Some(frame(stamp, wire::ticker(stamp, market, &market.quote(), now_us)))
    }

    fn ok(&mut self, id: Option<i64>, sid: u64, world: &World, now_us: i64) -> Frame {
        let stamp = self.stamp(sid, now_us);
        let tickers = self.markets.as_ref().filter(|_| !self.skip_ticker_ack).map(|markets| {
            let of = |&market| world.market(market).map(|market| market.quoted_ticker());
            let mut tickers: Vec<_> = markets.iter().filter_map(of).collect();
            tickers.sort_unstable();
            tickers
        });
        frame(stamp, wire::ok(id, stamp, tickers.as_deref()))
    }
}

impl Session {
    /// Does what a client's text asks, and adds the replies to `out`; snapshots later, if so told.
    pub(super) fn command(
        &mut self,
        text: &str,
        world: &mut World,
        (now_us, late_us): (i64, Option<i64>),
        out: &mut Vec<Frame>,
    ) {
        match command::parse(text) {
            Err(refusal) => out.push(loose(wire::error(refusal.id, None, refusal.code))),
            Ok((id, Command::Subscribe(wanted))) => {
                self.subscribe(id, &wanted, world, (now_us, late_us), out);
            }
            Ok((id, Command::Unsubscribe(sids))) => self.unsubscribe(id, &sids, now_us, out),
            Ok((id, Command::Update(update))) => {
                self.update(id, &update, world, (now_us, late_us), out);
            }
            Ok((id, Command::List)) => {
                let open = self.subscriptions.iter().map(|(sid, s)| (s.channel.name(), *sid));
                out.push(loose(wire::listed(id, open)));
            }
        }
    }

    /// Tells the client of an event, if it is subscribed to it.
    pub(super) fn event(
        &mut self,
        event: &Event,
        world: &World,
        now_us: i64,
        out: &mut Vec<Frame>,
    ) {
        let Some(market) = world.market(event.market) else { return };
        let (channel, ts_us) = (channel_of(&event.kind), event.ts_us);
        for (&sid, subscription) in &mut self.subscriptions {
            if subscription.channel != channel || !subscription.holds(event.market) {
                continue;
            }
            let stamp = subscription.stamp(sid, now_us);
            let text = match &event.kind {
                Kind::Change { side, price, size } => {
                    let change = (*side, *price, *size);
                    wire::delta(stamp, market, change, ts_us, subscription.no_leg)
                }
                // Only a closed market is resent: its book is the same whenever it is printed.
                Kind::Resent => {
                    wire::snapshot(None, stamp, market, &market.book(), subscription.no_leg)
                }
                Kind::Trade(fill) => wire::trade(stamp, market, fill, ts_us),
                Kind::Quote(quote) => wire::ticker(stamp, market, quote, ts_us),
                kind @ (Kind::Created | Kind::Determined(_) | Kind::Settled) => {
                    wire::lifecycle(stamp, market, kind, ts_us).unwrap_or_default()
                }
            };
            out.push(frame(stamp, text));
            // There is one subscription a channel.
            return;
        }
    }

    /// Ends a subscription with an error, which takes the place of `unsent`.
    pub(super) fn end(&mut self, unsent: &Frame, code: u16, now_us: i64) -> Option<Frame> {
        let sid = unsent.sid?;
        self.subscriptions.remove(&sid)?;
        let stamp = Stamp { sid, seq: unsent.seq, sent_ms: now_us / 1_000 };
        Some(frame(stamp, wire::error(None, Some(stamp), code)))
    }

    /// Refuses a command. `scoped`: on the subscription that it concerns, where there is one; an
    /// error that is the end of a subscription then ends it.
    pub(super) fn refuse(&mut self, text: &str, code: u16, scoped: bool, now_us: i64) -> Frame {
        let (id, command) = command::parse(text).ok().unzip();
        let sid = command.filter(|_| scoped).and_then(|command| match command {
            Command::Subscribe(wanted) => {
                let open = |(_, s): &(&u64, &Subscription)| wanted.channels.contains(&s.channel);
                self.subscriptions.iter().find(open).map(|(sid, _)| *sid)
            }
            Command::Update(update) => Some(update.sid),
            Command::Unsubscribe(_) | Command::List => None,
        });
        let open = sid.and_then(|sid| Some((sid, self.subscriptions.get_mut(&sid)?)));
        let Some((sid, subscription)) = open else {
            return loose(wire::error(id.flatten(), None, code));
        };
        let stamp = subscription.stamp(sid, now_us);
        if matches!(code, 10 | 17 | 25) {
            self.subscriptions.remove(&sid);
        }
        frame(stamp, wire::error(None, Some(stamp), code))
    }

    /// Sends the snapshots that are due by now.
    pub(super) fn pay(&mut self, world: &World, now_us: i64, out: &mut Vec<Frame>) {
        for owed in self.owed.extract_if(.., |owed| owed.due_us <= now_us) {
            let Some(subscription) = self.subscriptions.get_mut(&owed.sid) else { continue };
            let markets = if owed.join {
                add(&mut subscription.markets, Some(&owed.markets))
            } else {
                owed.markets
            };
            let snapshot = |m| subscription.snapshot(owed.id, owed.sid, m, world, now_us);
            out.extend(markets.into_iter().filter_map(snapshot));
        }
    }

    /// How far each subscription has come.
    #[must_use]
    pub(super) fn positions(&self, connection: u32, world: &World) -> Vec<Position> {
        let position = |(&sid, subscription): (&u64, &Subscription)| {
            let markets = subscription.markets.iter().flatten();
            let ticker = |&market| world.market(market).map(|market| market.ticker().to_owned());
            let mut tickers: Vec<_> = markets.filter_map(ticker).collect();
            tickers.sort_unstable();
            let channel = subscription.channel.name().to_owned();
            Position { connection, sid, channel, seq: subscription.seq, tickers }
        };
        self.subscriptions.iter().map(position).collect()
    }

    fn subscribe(
        &mut self,
        id: Option<i64>,
        wanted: &Subscribe,
        world: &mut World,
        (now_us, late_us): (i64, Option<i64>),
        out: &mut Vec<Frame>,
    ) {
        let tickers = wanted.tickers.as_ref();
        let markets: Option<Vec<usize>> =
            tickers.map(|tickers| tickers.iter().map(|ticker| world.open(ticker)).collect());
        for &channel in &wanted.channels {
            let markets = markets.as_deref().filter(|_| channel.takes_markets());
            let late = late_us.filter(|_| channel == Channel::Book).zip(markets);
            let markets = markets.map(|markets| if late.is_some() { &[] } else { markets });
            let held = self.subscriptions.iter_mut().find(|(_, s)| s.channel == channel);
            let (sid, subscription, fresh) = if let Some((&sid, subscription)) = held {
                let fresh = add(&mut subscription.markets, markets);
                subscription.skip_ticker_ack = wanted.skip_ticker_ack;
                out.push(subscription.ok(id, sid, world, now_us));
                (sid, subscription, fresh)
            } else {
                self.last_sid += 1;
                let mut held = markets.map(|_| BTreeSet::new());
                let fresh = add(&mut held, markets);
                let subscription =
                    self.subscriptions.entry(self.last_sid).or_insert(Subscription {
                        channel,
                        seq: 0,
                        markets: held,
                        no_leg: if wanted.use_yes_price { NoLeg::AsYes } else { NoLeg::Own },
                        skip_ticker_ack: wanted.skip_ticker_ack,
                    });
                out.push(loose(wire::subscribed(id, channel.name(), self.last_sid)));
                (self.last_sid, subscription, fresh)
            };
            greet(subscription, sid, &fresh, wanted.send_initial_snapshot, world, now_us, out);
            if let Some((due_us, markets)) = late {
                let markets = markets.to_vec();
                self.owed.push(Owed { due_us, sid, id: None, markets, join: true });
            }
        }
    }

    fn unsubscribe(&mut self, id: Option<i64>, sids: &[u64], now_us: i64, out: &mut Vec<Frame>) {
        for &sid in sids {
            match self.subscriptions.remove(&sid) {
                None => out.push(loose(wire::error(id, None, 7))),
                Some(mut subscription) => {
                    let stamp = subscription.stamp(sid, now_us);
                    out.push(frame(stamp, wire::unsubscribed(id, sid, stamp.seq)));
                }
            }
        }
    }

    fn update(
        &mut self,
        id: Option<i64>,
        update: &Update,
        world: &mut World,
        (now_us, late_us): (i64, Option<i64>),
        out: &mut Vec<Frame>,
    ) {
        let sid = update.sid;
        let Some(subscription) = self.subscriptions.get_mut(&sid) else {
            out.push(loose(wire::error(id, None, 7)));
            return;
        };
        let channel = subscription.channel;
        let supported = match update.action.as_str() {
            "add_markets" | "delete_markets" => channel.takes_markets(),
            "get_snapshot" => channel == Channel::Book,
            _ => false,
        };
        let code = match &update.tickers {
            _ if !supported => Some(13),
            None => Some(14),
            Some(tickers) if tickers.is_empty() && update.action != "get_snapshot" => Some(11),
            Some(_) => None,
        };
        if let Some(code) = code {
            // Seen on the wire: an error of a subscription has its sid and seq, and no id.
            let stamp = subscription.stamp(sid, now_us);
            out.push(frame(stamp, wire::error(None, Some(stamp), code)));
            return;
        }
        let tickers = update.tickers.iter().flatten();
        let markets: Vec<_> = tickers.map(|ticker| world.open(ticker)).collect();
        match update.action.as_str() {
            "add_markets" => {
                let fresh = add(&mut subscription.markets, Some(&markets));
                out.push(subscription.ok(id, sid, world, now_us));
                greet(subscription, sid, &fresh, update.send_initial_snapshot, world, now_us, out);
            }
            "delete_markets" => {
                if let Some(held) = &mut subscription.markets {
                    held.retain(|market| !markets.contains(market));
                }
                out.push(subscription.ok(id, sid, world, now_us));
            }
            _ if late_us.is_some() => {
                let due_us = late_us.unwrap_or(now_us);
                self.owed.push(Owed { due_us, sid, id, markets, join: false });
            }
            _ => {
                let answers = markets
                    .iter()
                    .filter_map(|m| subscription.snapshot(id, sid, *m, world, now_us));
                out.extend(answers);
            }
        }
    }
}

/// Adds markets to those held and returns the ones that were not. `None` is every market.
fn add(held: &mut Option<BTreeSet<usize>>, markets: Option<&[usize]>) -> Vec<usize> {
    match (held, markets) {
        (Some(held), Some(markets)) => {
            markets.iter().copied().filter(|market| held.insert(*market)).collect()
        }
        (held, None) => {
            *held = None;
            Vec::new()
        }
        (None, Some(markets)) => markets.to_vec(),
    }
}

/// Sends what newly subscribed markets begin with.
fn greet(
    subscription: &mut Subscription,
    sid: u64,
    fresh: &[usize],
    send_initial_snapshot: bool,
    world: &World,
    now_us: i64,
    out: &mut Vec<Frame>,
) {
    for &market in fresh {
        out.extend(match subscription.channel {
            Channel::Book => subscription.snapshot(None, sid, market, world, now_us),
            Channel::Ticker if send_initial_snapshot => {
                subscription.summary(sid, market, world, now_us)
            }
            Channel::Ticker | Channel::Trade | Channel::Lifecycle | Channel::Silent(_) => None,
        });
    }
}

const fn channel_of(kind: &Kind) -> Channel {
    match kind {
        Kind::Change { .. } | Kind::Resent => Channel::Book,
        Kind::Trade(_) => Channel::Trade,
        Kind::Quote(_) => Channel::Ticker,
        Kind::Created | Kind::Determined(_) | Kind::Settled => Channel::Lifecycle,
    }
}

const fn frame(stamp: Stamp, text: String) -> Frame {
    Frame { sid: Some(stamp.sid), seq: stamp.seq, text }
}

/// A frame that belongs to no stream.
const fn loose(text: String) -> Frame {
    Frame { sid: None, seq: None, text }
}
