//! Messages about books, and what makes a book unsure.

use super::{Digester, Envelope, Witness, chain, event::TRADES};
use crate::lake::{
    hole::{Hole, Kind},
    ids::Number,
    quote::UNSET,
    report::Outcome,
    stream::{Applied, End, Replaced, Seen},
    table::{Rows, push_moment},
};
use crate::protocol::{Delta, ParseError, Price, Side, Size, Snapshot};

/// `DECIMAL(18,2)` holds less than this many hundredths.
const SIZE_UNITS_END: u64 = 1_000_000_000_000_000_000;
/// Kinds of book events, as their column has them.
const SNAPSHOT: u8 = 1;
const DELTA: u8 = 2;

impl Digester {
    /// A book message that cannot be placed in its stream cannot be applied either.
    pub(super) fn unnumbered(&mut self, at: &Envelope) -> bool {
        let unnumbered = at.sid.is_none() || at.now.seq == 0;
        if unnumbered {
            self.note("book message without a number", String::new);
        }
        unnumbered
    }

    pub(super) fn snapshot(&mut self, at: &Envelope, snapshot: &Snapshot<'_>) -> Outcome {
        let levels = snapshot.yes.iter().chain(&snapshot.no);
        if self.unnumbered(at) || !levels.clone().all(|level| fits(level.1)) {
            return Outcome::Unreadable;
        }
        let market = self.market(&snapshot.ticker);
        let rows = &mut self.rows;
        let Some(stream) =
            self.conns.get_mut(&at.conn).and_then(|c| c.stream(at.sid, &mut self.ids))
        else {
            return Outcome::Unreadable;
        };
        stream.channel.get_or_insert_with(|| "orderbook_delta".to_owned());
        let empty = snapshot.yes.is_empty() && snapshot.no.is_empty();
        if empty && snapshot.market_id.as_deref() == Some("") {
            stream.see(market, at.now.at, Seen::Snapshot).unknown = true;
            self.note("unknown market", || snapshot.ticker.to_string());
            return Outcome::Snapshot;
        }
        let converted: Vec<_>;
        let no = if stream.yes_price {
            let own = |&(price, size)| (stream.own_price(Side::No, price), size);
            converted = snapshot.no.iter().map(own).collect();
            &converted
        } else {
            &snapshot.no
        };
        let both = [(Side::Yes, &snapshot.yes), (Side::No, no)];
        for (side, ladder) in both {
            for &(price, size) in ladder {
                push_book_event(
                    rows,
                    at,
                    market,
                    stream.number,
                    SNAPSHOT,
                    Some((side, price, size)),
                );
            }
        }
        if empty {
            push_book_event(rows, at, market, stream.number, SNAPSHOT, None);
        }
        match stream.snapshot(market, [&snapshot.yes, no], at.now, &mut self.ids, rows) {
            Replaced::Done => self.holes.snapshot(market, at.now.at),
            Replaced::Differs => {
                self.holes.snapshot(market, at.now.at);
                self.note("snapshot unlike the book before it", || snapshot.ticker.to_string());
            }
            Replaced::Wrong(error) => self.note("impossible snapshot", || error.to_string()),
        }
        Outcome::Snapshot
    }

    pub(super) fn delta(&mut self, at: &Envelope, delta: &Delta<'_>) -> Outcome {
        if self.unnumbered(at) || !fits(delta.change) {
            return Outcome::Unreadable;
        }
        let market = self.market(&delta.ticker);
        let rows = &mut self.rows;
        let Some(stream) =
            self.conns.get_mut(&at.conn).and_then(|c| c.stream(at.sid, &mut self.ids))
        else {
            return Outcome::Unreadable;
        };
        let price = stream.own_price(delta.side, delta.price);
        let change = (delta.side, price, delta.change);
        push_book_event(rows, at, market, stream.number, DELTA, Some(change));
        match stream.delta(market, change, at.now, rows) {
            Applied::Done => {}
            Applied::NoSnapshot => {
                self.note("delta without a snapshot", || delta.ticker.to_string());
            }
            Applied::InHole => self.note("delta in a hole", || delta.ticker.to_string()),
            Applied::Wrong(error) => {
                let from_ns = stream.well_until(at.now.at);
                stream.close_market(market, from_ns, End::Negative, rows);
                let hole = Hole {
                    sid: at.sid,
                    channel: stream.channel.clone(),
                    got: u64::try_from(at.now.seq).ok(),
                    found: true,
                    cause: Some(format!("{}: {error}", delta.ticker)),
                    markets: vec![market],
                    ..Hole::new(Kind::Negative, at.conn, stream.last_ns, at.now.at)
                };
                self.holes.add(hole);
                self.note("level below zero", || format!("{}: {error}", delta.ticker));
            }
        }
        Outcome::Delta
    }

    /// What was in the frame is not known, so the books of its subscription are unsure.
    pub(super) fn unreadable(&mut self, at: &Envelope, kind: &str, error: &ParseError) -> Outcome {
        let name = if matches!(error, ParseError::Foreign(_)) {
            "other protocol"
        } else {
            "unreadable message"
        };
        self.note(name, || format!("{kind}: {}", chain(error)));
        if matches!(kind, "orderbook_delta" | "orderbook_snapshot" | TRADES)
            && let Some(conn) = self.conns.get_mut(&at.conn)
            && let Some(stream) = conn.stream(at.sid, &mut self.ids)
        {
            let until = stream.well_until(at.now.at);
            let markets = stream.close_all(until, End::Unreadable, &mut self.rows);
            if !markets.is_empty() || kind == TRADES {
                let channel = stream.channel.clone().or_else(|| Some(kind.to_owned()));
                self.holes.add(Hole {
                    sid: at.sid,
                    channel,
                    got: u64::try_from(at.now.seq).ok(),
                    found: true,
                    cause: Some(chain(error)),
                    markets,
                    ..Hole::new(Kind::Unreadable, at.conn, stream.last_ns, at.now.at)
                });
            }
        }
        Outcome::Unreadable
    }

    pub(super) fn gap(&mut self, number: u32, missing: (u64, u64, u64), at: i64, witness: Witness) {
        let (sid, expected, got) = missing;
        if let Some(hole) = self.holes.find(number, sid, expected, got) {
            hole.declared |= witness == Witness::Recorder;
            hole.found |= witness == Witness::Frames;
            return;
        }
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let Some(stream) = conn.stream(Some(sid), &mut self.ids) else { return };
        let until = stream.well_until(at);
        let markets = stream.close_all(until, End::Gap, &mut self.rows);
        let from_ns = if stream.last_ns == UNSET { at } else { stream.last_ns };
        self.holes.add(Hole {
            sid: Some(sid),
            channel: stream.channel.clone(),
            expected: Some(expected),
            got: Some(got),
            declared: witness == Witness::Recorder,
            found: witness == Witness::Frames,
            markets,
            ..Hole::new(Kind::Sequence, number, from_ns, at)
        });
        self.note("gap", || format!("sid {sid}: expected {expected}, got {got}"));
    }
}

fn push_book_event(
    rows: &mut Rows,
    at: &Envelope,
    market: Number,
    stream: Number,
    kind: u8,
    level: Option<(Side, Price, Size)>,
) {
    let table = &mut rows.BookEvents;
    push_moment!(table, at.now);
    table.ticker.push(market);
    table.stream.push(stream);
    table.seq.push(Some(at.now.seq));
    table.kind.push(kind);
    table.side.push_side(level.map(|level| level.0));
    table.price.push(level.map(|level| level.1));
    table.size.push(level.map(|level| level.2));
    table.end_row();
}

pub(super) fn fits(size: Size) -> bool {
    size.units().unsigned_abs() < SIZE_UNITS_END
}
