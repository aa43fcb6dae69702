-- What SQL sees of the lake. Times are UTC, prices exact dollars, sizes exact contracts. `ts` is
-- `ts_recv`, or where the recorder did not keep that, the event time carried forward.

-- One row is a ticker message.
CREATE OR REPLACE VIEW ticker_data AS
SELECT make_timestamp_ns(at_ns + recv_off_ns) AS ts_recv, make_timestamp_ns(event_ns) AS ts_event,
       ticker, split_part(ticker, '-', 1) AS series, session, conn, sid, NULL::BIGINT AS seq,
       price, yes_bid, yes_ask, yes_bid_size, yes_ask_size, last_trade_size,
       volume, open_interest, dollar_volume, dollar_open_interest,
       make_timestamp_ns(at_ns) AS ts
FROM lake.ticker JOIN lake.stream USING (stream);

-- One row is a public trade. Recorded twice, it is here once.
CREATE OR REPLACE VIEW trades AS
SELECT make_timestamp_ns(at_ns + recv_off_ns) AS ts_recv, make_timestamp_ns(event_ns) AS ts_event,
       ticker, split_part(ticker, '-', 1) AS series, session, conn, sid, seq, trade_id, price, no_price, size, taker_side,
       is_block, make_timestamp_ns(at_ns) AS ts
FROM lake.trade JOIN lake.stream USING (stream)
QUALIFY trade_id IS NULL
     OR stream = first_value(stream)
            OVER (PARTITION BY ticker, trade_id ORDER BY at_ns, stream, seq);

-- One row is one level change: a delta, or one level of a snapshot. NO prices are in no-leg
-- dollars. A snapshot of an empty book is one row without side, price and size.
CREATE OR REPLACE VIEW book_events AS
SELECT make_timestamp_ns(at_ns + recv_off_ns) AS ts_recv, make_timestamp_ns(event_ns) AS ts_event,
       ticker, split_part(ticker, '-', 1) AS series, session, conn, sid, seq, kind, side, price, size,
       make_timestamp_ns(at_ns) AS ts
FROM lake.book_event JOIN lake.stream USING (stream);

-- One row is a change of the best bid or ask, in YES terms, and how long it stood: up to
-- `ts_until`, where the next one follows or the book is no longer known.
CREATE OR REPLACE VIEW bbo AS
SELECT make_timestamp_ns(at_ns + recv_off_ns) AS ts_recv, make_timestamp_ns(event_ns) AS ts_event,
       ticker, split_part(ticker, '-', 1) AS series, session, conn, sid, seq, bid, bid_size, ask, ask_size,
       ((bid + ask) * 0.5)::DECIMAL(8,5) AS mid,
       (ask - bid)::DECIMAL(6,4) AS spread,
       (bid::DOUBLE * ask_size::DOUBLE + ask::DOUBLE * bid_size::DOUBLE)
           / (bid_size::DOUBLE + ask_size::DOUBLE) AS microprice,
       (bid_size::DOUBLE - ask_size::DOUBLE)
           / (bid_size::DOUBLE + ask_size::DOUBLE) AS imbalance,
       make_timestamp_ns(at_ns) AS ts, make_timestamp_ns(at_ns + stood_ns) AS ts_until
FROM lake.quote JOIN lake.stream USING (stream);

-- One row is a lifecycle message of a market, or of an event (then `ticker` is null).
CREATE OR REPLACE VIEW lifecycle AS
SELECT make_timestamp_ns(at_ns + recv_off_ns) AS ts_recv, NULL::TIMESTAMP_NS AS ts_event, ticker,
       split_part(coalesce(ticker, event_ticker), '-', 1) AS series, session, conn, sid, seq, event_type, event_ticker,
       make_timestamp_ns(open_ns) AS open_time, make_timestamp_ns(close_ns) AS close_time,
       make_timestamp_ns(determination_ns) AS determination_time,
       make_timestamp_ns(settled_ns) AS settled_time, is_deactivated, result,
       settlement_value, price_level_structure, title, metadata, make_timestamp_ns(at_ns) AS ts
FROM lake.lifecycle JOIN lake.stream USING (stream);

-- One row is a market: what is recorded of it, and its newest metadata as the exchange gave it.
-- Seconds live count a time that two recorders share once; a hole is a time between two live ones.
CREATE OR REPLACE VIEW markets AS
WITH seen AS (
    SELECT ticker, min(first_ns) AS first_ns, max(last_ns) AS last_ns,
           sum(snapshots)::BIGINT AS snapshots, sum(deltas)::BIGINT AS deltas,
           sum(trades)::BIGINT AS trades, sum(tickers)::BIGINT AS tickers,
           bool_and(unknown) AS unknown
    FROM lake.presence GROUP BY ticker
), live AS (
    SELECT ticker, sum(to_ns - from_ns)::DOUBLE / 1e9 AS live_s,
           count(*) FILTER (from_ns > before_ns) AS holes
    FROM (SELECT ticker, from_ns, to_ns,
                 lag(to_ns) OVER (PARTITION BY ticker ORDER BY from_ns) AS before_ns
          FROM lake.all_live)
    GROUP BY ticker
), newest AS (
    SELECT ticker, arg_max(json, at_ns) AS metadata FROM lake.metadata GROUP BY ticker
)
SELECT ticker, split_part(ticker, '-', 1) AS series,
       make_timestamp_ns(seen.first_ns) AS first_ts, make_timestamp_ns(seen.last_ns) AS last_ts,
       coalesce(snapshots + deltas + trades + tickers, 0) AS frames,
       coalesce(seen.snapshots, 0) AS snapshots, coalesce(seen.deltas, 0) AS deltas,
       coalesce(seen.trades, 0) AS trades, coalesce(seen.tickers, 0) AS tickers,
       coalesce(live.live_s, 0) AS live_s, coalesce(live.holes, 0) AS holes,
       coalesce(seen.unknown, false) AS unknown_to_exchange, newest.metadata
FROM seen LEFT JOIN live USING (ticker) FULL JOIN newest USING (ticker);

-- One row is a recording session, or a file of another recorder (then `own` is false).
CREATE OR REPLACE VIEW sessions AS
SELECT session, own, version, env, host,
       make_timestamp_ns(first_ns) AS first_ts, make_timestamp_ns(last_ns) AS last_ts,
       segments, lines, frames, events, closed,
       (SELECT count(*) FROM lake.connection c WHERE c.session = s.session) AS connections
FROM lake.session s
ORDER BY first_ns, session;

-- One row is a kind of oddity that was met in a session: how often, and where first.
CREATE OR REPLACE VIEW oddities AS
SELECT session, kind, times, segment, line, example
FROM lake.oddity
ORDER BY session, kind;

-- One row is a hole: what is missing, who said so (`declared` the recorder, `found` the frames),
-- from when to when, and which books it made unsure.
CREATE OR REPLACE VIEW gaps AS
WITH unsure AS (
    SELECT hole, count(*) AS markets, list(ticker ORDER BY ticker) AS tickers
    FROM lake.hole_market GROUP BY hole
)
SELECT h.kind, h.session, h.conn, h.sid, h.channel, h.expected, h.got,
       CASE WHEN h.kind = 'sequence' THEN h.got - h.expected END AS missing,
       CASE WHEN h.from_ns > 0 THEN make_timestamp_ns(h.from_ns) END AS ts_from,
       CASE WHEN h.found_ns > 0 THEN make_timestamp_ns(h.found_ns) END AS ts_found,
       CASE WHEN h.repaired_ns > 0 THEN make_timestamp_ns(h.repaired_ns) END AS ts_repaired,
       h.declared, h.found, h.cause, coalesce(u.markets, 0) AS markets, u.tickers
FROM lake.hole h LEFT JOIN unsure u USING (hole)
ORDER BY h.from_ns, h.session, h.conn, h.sid, h.expected;

-- One row is a time in which the book of a market, rebuilt from one stream, is known to be right.
CREATE OR REPLACE VIEW spans AS
SELECT ticker, split_part(ticker, '-', 1) AS series, session, conn, sid,
       make_timestamp_ns(from_ns) AS ts_from, make_timestamp_ns(to_ns) AS ts_to,
       from_seq, to_seq, ended_by
FROM lake.span JOIN lake.stream USING (stream)
ORDER BY from_ns, span;

-- One row is a market and an hour (UTC) that it was recorded in: seconds in which its book is
-- known, and the seconds between its first and last known moment in which it is not.
CREATE OR REPLACE VIEW coverage AS
WITH piece AS (
    SELECT ticker, from_ns, to_ns, true AS known FROM lake.all_live
    UNION ALL
    SELECT ticker, to_ns, next_ns, false
    FROM (SELECT ticker, to_ns,
                 lead(from_ns) OVER (PARTITION BY ticker ORDER BY from_ns) AS next_ns
          FROM lake.all_live)
    WHERE next_ns > to_ns
), part AS (
    SELECT ticker, hour, known,
           least(to_ns, (hour + 1) * 3600000000000) - greatest(from_ns, hour * 3600000000000) AS ns
    FROM (SELECT *, unnest(range(from_ns // 3600000000000,
                                 (to_ns - 1) // 3600000000000 + 1)) AS hour
          FROM piece)
)
SELECT ticker, split_part(ticker, '-', 1) AS series,
       make_timestamp_ns(hour * 3600000000000) AS hour,
       coalesce(sum(ns) FILTER (known), 0)::DOUBLE / 1e9 AS live_s,
       coalesce(sum(ns) FILTER (NOT known), 0)::DOUBLE / 1e9 AS hole_s,
       count(*) FILTER (NOT known) AS holes
FROM part
GROUP BY ticker, hour
ORDER BY ticker, hour;
