//! Messages that become one row each: tickers, trades, lifecycle.

use super::{Digester, Envelope, book::fits};
use crate::lake::{ids::Number, report::Outcome, stream::Seen, table::push_moment};
use crate::protocol::{EventLifecycle, Header, MarketLifecycle, TickerUpdate, Trade};

impl Digester {
    pub(super) fn ticker(&mut self, at: &Envelope, ticker: &TickerUpdate<'_>) -> Outcome {
        let sizes = [
            ticker.yes_bid_size,
            ticker.yes_ask_size,
            ticker.last_trade_size,
            ticker.volume,
            ticker.open_interest,
        ];
        if !sizes.into_iter().flatten().all(fits) {
            return Outcome::Unreadable;
        }
        let Some((market, stream)) = self.see(at, &ticker.ticker, "ticker", Seen::Ticker) else {
            return Outcome::Unreadable;
        };
        let table = &mut self.rows.Tickers;
        push_moment!(table, at.now);
        table.ticker.push(market);
        table.stream.push(stream);
        table.price.push(ticker.price);
        table.yes_bid.push(ticker.yes_bid);
        table.yes_ask.push(ticker.yes_ask);
        table.yes_bid_size.push(ticker.yes_bid_size);
        table.yes_ask_size.push(ticker.yes_ask_size);
        table.last_trade_size.push(ticker.last_trade_size);
        table.volume.push(ticker.volume);
        table.open_interest.push(ticker.open_interest);
        table.dollar_volume.push(ticker.dollar_volume);
        table.dollar_open_interest.push(ticker.dollar_open_interest);
        table.end_row();
        Outcome::Ticker
    }

    pub(super) fn trade(&mut self, at: &Envelope, trade: &Trade<'_>) -> Outcome {
        if !fits(trade.size) {
            return Outcome::Unreadable;
        }
        let Some((market, stream)) = self.see(at, &trade.ticker, "trade", Seen::Trade) else {
            return Outcome::Unreadable;
        };
        let table = &mut self.rows.Trades;
        push_moment!(table, at.now);
        table.ticker.push(market);
        table.stream.push(stream);
        table.seq.push((at.now.seq != 0).then_some(at.now.seq));
        table.trade_id.push(trade.trade_id.as_deref());
        table.price.push(Some(trade.price));
        table.no_price.push(Some(trade.no_price));
        table.size.push(Some(trade.size));
        table.taker_side.push_side(trade.taker_side);
        table.is_block.push(trade.is_block);
        table.end_row();
        Outcome::Trade
    }

    /// Counts a message of a market on its stream; gives the numbers of both.
    pub(super) fn see(
        &mut self,
        at: &Envelope,
        ticker: &str,
        channel: &str,
        seen: Seen,
    ) -> Option<(Number, Number)> {
        let market = self.market(ticker);
        let stream = self.conns.get_mut(&at.conn)?.stream(at.sid, &mut self.ids)?;
        stream.channel.get_or_insert_with(|| channel.to_owned());
        stream.see(market, at.now.at, seen);
        Some((market, stream.number))
    }

    pub(super) fn market_lifecycle(
        &mut self,
        at: &Envelope,
        step: &MarketLifecycle<'_>,
    ) -> Outcome {
        let Some(stream) =
            self.conns.get_mut(&at.conn).and_then(|c| c.stream(at.sid, &mut self.ids))
        else {
            return Outcome::Unreadable;
        };
        let seconds = |value: Option<i64>| value.and_then(|s| s.checked_mul(1_000_000_000));
        let table = &mut self.rows.Lifecycle;
        table.at_ns.push(at.now.at);
        table.recv_off_ns.push(at.now.recv_off());
        table.stream.push(stream.number);
        table.seq.push((at.now.seq != 0).then_some(at.now.seq));
        table.event_type.push(Some(&step.event_type));
        table.ticker.push(Some(&step.market_ticker));
        table.event_ticker.push(None);
        table.open_ns.push(seconds(step.open_ts));
        table.close_ns.push(seconds(step.close_ts));
        table.determination_ns.push(seconds(step.determination_ts));
        table.settled_ns.push(seconds(step.settled_ts));
        table.is_deactivated.push(step.is_deactivated);
        table.result.push(step.result.as_deref());
        table.settlement_value.push(step.settlement_value.as_deref());
        table.price_level_structure.push(step.price_level_structure.as_deref());
        table.title.push(None);
        table.metadata.push(step.additional_metadata.map(|json| json.get()));
        table.end_row();
        Outcome::Lifecycle
    }

    pub(super) fn event_lifecycle(
        &mut self,
        at: &Envelope,
        step: &EventLifecycle<'_>,
        header: &Header<'_>,
    ) -> Outcome {
        let Some(stream) =
            self.conns.get_mut(&at.conn).and_then(|c| c.stream(at.sid, &mut self.ids))
        else {
            return Outcome::Unreadable;
        };
        let table = &mut self.rows.Lifecycle;
        table.at_ns.push(at.now.at);
        table.recv_off_ns.push(at.now.recv_off());
        table.stream.push(stream.number);
        table.seq.push((at.now.seq != 0).then_some(at.now.seq));
        table.event_type.push(Some(header.kind()));
        table.ticker.push(None);
        table.event_ticker.push(Some(&step.event_ticker));
        for time in [
            &mut table.open_ns,
            &mut table.close_ns,
            &mut table.determination_ns,
            &mut table.settled_ns,
        ] {
            time.push(None);
        }
        table.is_deactivated.push(None);
        table.result.push(None);
        table.settlement_value.push(None);
        table.price_level_structure.push(None);
        table.title.push(step.title.as_deref());
        table.metadata.push(header.msg);
        table.end_row();
        Outcome::Lifecycle
    }
}
