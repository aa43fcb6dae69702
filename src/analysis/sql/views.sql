-- What SQL sees of the lake. Times are UTC, prices exact dollars, sizes exact contracts. `ts` is
-- `ts_recv`, or where the recorder did not keep that, the event time carried forward.

-- One row is a ticker message.
CREATE OR REPLACE VIEW ticker_data AS
SELECT t.recv AS ts_recv, t.event AS ts_event, m.ticker, m.series,
       s.name AS session, s.conn, s.sid, NULL::BIGINT AS seq,
       t.price, t.yes_bid, t.yes_ask, t.yes_bid_size, t.yes_ask_size, t.last_trade_size,
       t.volume, t.open_interest, t.dollar_volume, t.dollar_open_interest,
       make_timestamp_ns(t.at_ns) AS ts
FROM lake.ticker t JOIN lake.market m USING (market) JOIN lake.stream s USING (stream);

-- One row is a public trade. Recorded twice, it is here once.
CREATE OR REPLACE VIEW trades AS
SELECT t.recv AS ts_recv, t.event AS ts_event, m.ticker, m.series,
       s.name AS session, s.conn, s.sid, t.seq, t.trade_id, t.price, t.no_price, t.size,
       CASE t.taker_side WHEN 1 THEN 'yes' WHEN 2 THEN 'no' END AS taker_side, t.is_block,
       make_timestamp_ns(t.at_ns) AS ts
FROM lake.trade t JOIN lake.market m USING (market) JOIN lake.stream s USING (stream)
QUALIFY t.trade_id IS NULL
     OR row_number() OVER (PARTITION BY m.ticker, t.trade_id ORDER BY t.at_ns, t.stream, t.seq) = 1;

-- One row is one level change: a delta, or one level of a snapshot. NO prices are in no-leg
-- dollars. A snapshot of an empty book is one row without side, price and size.
CREATE OR REPLACE VIEW book_events AS
SELECT e.recv AS ts_recv, e.event AS ts_event, m.ticker, m.series,
       s.name AS session, s.conn, s.sid, e.seq,
       CASE e.kind WHEN 0 THEN 'snapshot' ELSE 'delta' END AS kind,
       CASE e.side WHEN 1 THEN 'yes' WHEN 2 THEN 'no' END AS side, e.price, e.size,
       make_timestamp_ns(e.at_ns) AS ts
FROM lake.book_event e JOIN lake.market m USING (market) JOIN lake.stream s USING (stream);

-- One row is a change of the best bid or ask, in YES terms, and how long it stood: up to
-- `ts_until`, where the next one follows or the book is no longer known.
CREATE OR REPLACE VIEW bbo AS
SELECT q.recv AS ts_recv, q.event AS ts_event, m.ticker, m.series,
       s.name AS session, s.conn, s.sid, q.seq, q.bid, q.bid_size, q.ask, q.ask_size,
       ((q.bid + q.ask) * 0.5)::DECIMAL(8,5) AS mid,
       (q.ask - q.bid)::DECIMAL(6,4) AS spread,
       (q.bid::DOUBLE * q.ask_size::DOUBLE + q.ask::DOUBLE * q.bid_size::DOUBLE)
           / (q.bid_size::DOUBLE + q.ask_size::DOUBLE) AS microprice,
       (q.bid_size::DOUBLE - q.ask_size::DOUBLE)
           / (q.bid_size::DOUBLE + q.ask_size::DOUBLE) AS imbalance,
       make_timestamp_ns(q.at_ns) AS ts, make_timestamp_ns(q.until_ns) AS ts_until
FROM lake.quote q JOIN lake.market m USING (market) JOIN lake.stream s USING (stream);

-- One row is a lifecycle message of a market, or of an event (then `ticker` is null).
CREATE OR REPLACE VIEW lifecycle AS
SELECT l.recv AS ts_recv, NULL::TIMESTAMP_NS AS ts_event, l.ticker,
       split_part(coalesce(l.ticker, l.event_ticker), '-', 1) AS series,
       s.name AS session, s.conn, s.sid, l.seq, l.event_type, l.event_ticker, l.open_time,
       l.close_time, l.determination_time, l.settled_time, l.is_deactivated, l.result,
       l.settlement_value, l.price_level_structure, l.title, l.metadata,
       make_timestamp_ns(l.at_ns) AS ts
FROM lake.lifecycle l JOIN lake.stream s USING (stream);

-- One row is a market: what is recorded of it, and its newest metadata as the exchange gave it.
CREATE OR REPLACE VIEW markets AS
WITH seen AS (
    SELECT market, min(first_ns) AS first_ns, max(last_ns) AS last_ns,
           sum(snapshots)::BIGINT AS snapshots, sum(deltas)::BIGINT AS deltas,
           sum(trades)::BIGINT AS trades, sum(tickers)::BIGINT AS tickers,
           bool_and(unknown) AS unknown
    FROM lake.presence GROUP BY market
), newest AS (
    SELECT ticker, arg_max(json, at_ns) AS metadata, max(at_ns) AS at_ns
    FROM lake.metadata GROUP BY ticker
)
SELECT coalesce(m.ticker, n.ticker) AS ticker,
       split_part(coalesce(m.ticker, n.ticker), '-', 1) AS series,
       make_timestamp_ns(seen.first_ns) AS first_ts, make_timestamp_ns(seen.last_ns) AS last_ts,
       coalesce(seen.snapshots, 0) AS snapshots, coalesce(seen.deltas, 0) AS deltas,
       coalesce(seen.trades, 0) AS trades, coalesce(seen.tickers, 0) AS tickers,
       coalesce(seen.unknown, false) AS unknown_to_exchange, n.metadata
FROM lake.market m
LEFT JOIN seen USING (market)
FULL JOIN newest n ON n.ticker = m.ticker;

-- One row is a recording session, or a file of another recorder (then `own` is false).
CREATE OR REPLACE VIEW sessions AS
SELECT s.name AS session, s.own, s.version, s.env, s.host,
       make_timestamp_ns(s.first_ns) AS first_ts, make_timestamp_ns(s.last_ns) AS last_ts,
       s.segments, s.lines, s.frames, s.events, s.closed,
       (SELECT count(*) FROM lake.connection c WHERE c.session = s.session) AS connections
FROM lake.session s
ORDER BY s.first_ns, s.name;

-- One row is a hole: what is missing, who said so (`declared` the recorder, `found` the frames),
-- from when to when, and which books it made unsure.
CREATE OR REPLACE VIEW gaps AS
SELECT h.kind, n.name AS session, h.conn, h.sid, h.channel, h.expected, h.got,
       CASE WHEN h.kind = 'sequence' THEN h.got - h.expected END AS missing,
       make_timestamp_ns(h.from_ns) AS ts_from, make_timestamp_ns(h.found_ns) AS ts_found,
       make_timestamp_ns(h.repaired_ns) AS ts_repaired,
       h.declared, h.found, h.cause,
       (SELECT count(*) FROM lake.hole_market x WHERE x.hole = h.hole) AS markets,
       (SELECT list(m.ticker ORDER BY m.ticker) FROM lake.hole_market x
        JOIN lake.market m USING (market) WHERE x.hole = h.hole) AS tickers
FROM lake.hole h
LEFT JOIN lake.session n USING (session)
ORDER BY h.from_ns, h.hole;

-- One row is a time in which the book of a market, rebuilt from one stream, is known to be right.
CREATE OR REPLACE VIEW spans AS
SELECT m.ticker, m.series, s.name AS session, s.conn, s.sid,
       make_timestamp_ns(p.from_ns) AS ts_from, make_timestamp_ns(p.to_ns) AS ts_to,
       p.from_seq, p.to_seq, p.ended_by
FROM lake.span p JOIN lake.market m USING (market) JOIN lake.stream s USING (stream)
ORDER BY p.from_ns, p.span;

-- The book of a market at an instant: one row is a level, best first. Without rows: not known.
CREATE OR REPLACE MACRO book_at(wanted, instant) AS TABLE
WITH right_span AS (
    SELECT p.market, p.stream, p.from_seq, p.to_seq
    FROM lake.live l JOIN lake.span p USING (span) JOIN lake.market m ON m.market = p.market
    WHERE m.ticker = wanted
      AND l.from_ns <= epoch_ns(instant::TIMESTAMP_NS) AND epoch_ns(instant::TIMESTAMP_NS) < l.to_ns
)
SELECT CASE e.side WHEN 1 THEN 'yes' ELSE 'no' END AS side, e.price,
       sum(e.size)::DECIMAL(18,2) AS size
FROM lake.book_event e JOIN right_span p
  ON e.market = p.market AND e.stream = p.stream AND e.seq BETWEEN p.from_seq AND p.to_seq
WHERE e.side <> 0 AND e.at_ns <= epoch_ns(instant::TIMESTAMP_NS)
GROUP BY e.side, e.price
HAVING sum(e.size) <> 0
ORDER BY e.side, e.price DESC;
