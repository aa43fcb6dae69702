//! What the recorder itself says.

use super::{Digester, Witness};
use crate::lake::{
    connection::Connection,
    hole::{Hole, Kind},
    quote::known,
    stream::End,
};
use crate::protocol::Sequences;
use crate::tape::Event;

/// The channel whose messages are missed even where no book is.
pub(super) const TRADES: &str = "trade";

impl Digester {
    pub(super) fn event(&mut self, recv: Option<i64>, conn: Option<u32>, event: Event<'_>) {
        let recv = recv.map(known);
        if let Some(recv) = recv {
            self.seen_at(recv);
        }
        let at = recv.or(self.facts.last_ns).unwrap_or_default();
        let number = conn.unwrap_or(self.current);
        if let Some(conn) = self.conns.get_mut(&number).filter(|conn| conn.at.is_none())
            && recv.is_some()
        {
            let at = conn.advance(recv, None);
            self.settle(number, at);
        }
        match event {
            Event::Session(info) => {
                self.facts.own = true;
                self.facts.version.get_or_insert_with(|| info.version.to_string());
                self.facts.env.get_or_insert_with(|| info.env.to_string());
                self.facts.host.get_or_insert_with(|| info.host.to_string());
                self.facts.closed = false;
            }
            Event::Connected { .. } => {
                let conn = self
                    .conns
                    .entry(number)
                    .or_insert_with(|| Connection::new(Sequences::from_start()));
                if recv.is_some() {
                    let at = conn.advance(recv, None);
                    self.settle(number, at);
                }
            }
            Event::Sent { command } => {
                let conn = self
                    .conns
                    .entry(number)
                    .or_insert_with(|| Connection::new(Sequences::joined_late()));
                conn.sent(command.get());
            }
            Event::Gap { sid, expected, got } => {
                self.gap(number, (sid, expected, got), at, Witness::Recorder);
            }
            Event::Disconnected { cause } => self.disconnected(number, at, &cause),
            Event::Market { market } => {
                let ticker = ticker_of(market.get());
                let table = &mut self.rows.Metadata;
                table.at_ns.push(at);
                table.session.push(Some(&self.name));
                table.ticker.push(ticker.as_deref());
                table.json.push(Some(market.get()));
                table.end_row();
            }
            Event::UnknownMarket { ticker } => self.note("unknown market", || ticker.to_string()),
            Event::RefusedMarket { ticker, .. } => {
                self.note("refused market", || ticker.to_string());
            }
            Event::Ended { sid } => {
                let streams = self.conns.get(&number).map(|conn| conn.streams.as_slice());
                let stream = streams.unwrap_or_default().iter().rfind(|s| s.sid == Some(sid));
                let from = stream.map_or(at, |stream| stream.well_until(at));
                let cause = "the exchange no longer lists it";
                self.doubt(number, Some(sid), (Kind::Ended, End::Ended), (from, at), cause);
            }
            Event::NotConnected { cause } => self.note("no connection", || cause.to_string()),
            Event::Dark { first, .. } => self.note("dark markets", || first.to_string()),
            Event::BadFrame { reason, .. } => self.note("bad frame", || reason.to_string()),
            Event::Stalled { for_ns } => self.note("stalled", || format!("for {for_ns} ns")),
            Event::Lagging { behind_ms } => self.note("lagging", || format!("by {behind_ms} ms")),
            Event::CaughtUp { .. } => {}
            Event::Clock { step_ns } => self.note("clock step", || format!("by {step_ns} ns")),
            Event::Closed(_) => self.facts.closed = true,
            Event::Unknown => self.note("unknown event", String::new),
            // A repeat shows in the frames; a repair in the snapshots.
            Event::Repeat { .. } | Event::Repaired { .. } | Event::Plan { .. } => {}
        }
    }

    fn disconnected(&mut self, number: u32, at: i64, cause: &str) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        // A recording that was to end is no hole in itself.
        let wanted = cause == "stopped";
        let end = if wanted { End::Tape } else { End::Disconnected };
        let mut markets = Vec::new();
        for stream in &mut conn.streams {
            markets.extend(stream.close_all(at, end, &mut self.rows));
        }
        markets.sort_unstable();
        markets.dedup();
        conn.over = Some((End::Disconnected, at));
        if wanted {
            return;
        }
        self.holes.add(Hole {
            declared: true,
            cause: Some(cause.to_owned()),
            markets,
            ..Hole::new(Kind::Disconnected, number, at, at)
        });
    }
}

impl Digester {
    /// The exchange ended a subscription: its books stand still from here.
    pub(super) fn ended(&mut self, number: u32, sid: Option<u64>, at: i64, cause: &str) {
        self.doubt(number, sid, (Kind::Ended, End::Ended), (at, at), cause);
    }

    /// From a moment on, the books of a subscription are not known; noticed at another.
    pub(super) fn doubt(
        &mut self,
        number: u32,
        sid: Option<u64>,
        (kind, end): (Kind, End),
        (from, found): (i64, i64),
        cause: &str,
    ) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        for stream in conn.streams.iter_mut().filter(|s| s.sid.is_some() && s.sid == sid) {
            let markets = stream.close_all(from, end, &mut self.rows);
            if markets.is_empty() && stream.channel.as_deref() != Some(TRADES) {
                continue;
            }
            self.holes.add(Hole {
                sid,
                channel: stream.channel.clone(),
                found: true,
                cause: Some(cause.to_owned()),
                markets,
                ..Hole::new(kind, number, from, found)
            });
        }
    }
}

fn ticker_of(market: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        ticker: Option<String>,
    }
    serde_json::from_str::<Named>(market).ok()?.ticker
}
