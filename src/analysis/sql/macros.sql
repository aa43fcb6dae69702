-- Questions as table macros, the same as the program answers without SQL.

-- An instant, also given as whole ns since 1970, in ns. Smaller numbers but 0 are of other units.
CREATE OR REPLACE MACRO lake.instant_ns(instant) AS
CASE WHEN instant IS NULL THEN NULL
     WHEN regexp_full_match(instant::VARCHAR, '-?[0-9]+')
     THEN coalesce(CASE WHEN regexp_full_match(instant::VARCHAR, '-?0|-?[1-9][0-9]{18}')
                        THEN try_cast(instant::VARCHAR AS BIGINT) END,
                   error('`' || instant::VARCHAR || '` is not in nanoseconds since 1970: '
                         || 'give a time as make_timestamp_ns(...), or as 2026-05-11 05:34:00'))
     ELSE coalesce(epoch_ns(try_cast(instant::VARCHAR AS TIMESTAMP_NS)),
                   error('`' || instant::VARCHAR || '` is no time: give one as 2026-05-11 05:34:00, '
                         || 'or in whole nanoseconds since 1970')) END;

-- The length of bars, in ns.
CREATE OR REPLACE MACRO lake.length_ns(every) AS
CASE WHEN datepart('year', every::INTERVAL) <> 0 OR datepart('month', every::INTERVAL) <> 0
     THEN error('a month has no one length, so bars cannot have it: give days, as INTERVAL 30 days')
     WHEN epoch_us(every::INTERVAL) <= 0 THEN error('the length of bars is not above zero')
     ELSE epoch_us(every::INTERVAL) * 1000 END;

-- The book of a market at an instant: one row is a level, best first. Without rows: not known.
CREATE OR REPLACE MACRO book_at(wanted, instant) AS TABLE
WITH right_span AS (
    SELECT p.stream, p.from_seq, p.to_seq
    FROM lake.live(wanted) l JOIN lake.span p ON p.span = l.span
    WHERE p.ticker = wanted
      AND l.from_ns <= lake.instant_ns(instant) AND lake.instant_ns(instant) < l.to_ns
), whole AS (
    SELECT c.seq, c.side, c.price, c.size
    FROM lake.checkpoint c JOIN right_span p
      ON c.stream = p.stream AND c.seq BETWEEN p.from_seq AND p.to_seq
    WHERE c.ticker = wanted AND c.at_ns <= lake.instant_ns(instant)
), newest AS (
    SELECT coalesce(max(seq), -1) AS seq FROM whole
), level AS (
    SELECT side, price, size FROM whole WHERE seq = (SELECT seq FROM newest)
    UNION ALL
    SELECT e.side, e.price, e.size
    FROM lake.book_event e JOIN right_span p
      ON e.stream = p.stream AND e.seq BETWEEN p.from_seq AND p.to_seq
    WHERE e.ticker = wanted AND e.at_ns <= lake.instant_ns(instant)
      AND e.seq > (SELECT seq FROM newest)
)
SELECT side, price, sum(size)::DECIMAL(18,2) AS size
FROM level
WHERE side IS NOT NULL
GROUP BY side, price
HAVING sum(size) <> 0
ORDER BY side DESC, price DESC;

-- The quoted spread of a market over [start, stop) (null: all) in bars of an interval (null: one
-- bar), in cents. Averages are weighted with time and taken only over time in which the book is
-- known to be right and has both sides.
CREATE OR REPLACE MACRO spread_bars(wanted, start, stop, every) AS TABLE
WITH asked AS (
    SELECT coalesce(lake.instant_ns(start), -9223372036854775808) AS start_ns,
           coalesce(lake.instant_ns(stop), 9223372036854775807) AS stop_ns,
           lake.length_ns(every) AS every_ns
), piece AS (
    SELECT greatest(q.at_ns, l.from_ns, start_ns) AS from_ns,
           least(q.at_ns + q.stood_ns, l.to_ns, stop_ns) AS to_ns,
           q.bid, q.ask, every_ns
    FROM lake.quote q JOIN lake.live(wanted) l ON l.span = q.span, asked
    WHERE q.ticker = wanted
), part AS (
    SELECT bar, bid, ask, every_ns,
           least(to_ns, (bar + 1) * every_ns) - greatest(from_ns, bar * every_ns) AS ns
    FROM (SELECT *, unnest(range(from_ns // every_ns, (to_ns - 1) // every_ns + 1)) AS bar
          FROM piece WHERE to_ns > from_ns AND every_ns IS NOT NULL)
    UNION ALL
    SELECT NULL, bid, ask, every_ns, to_ns - from_ns
    FROM piece WHERE to_ns > from_ns AND every_ns IS NULL
)
SELECT make_timestamp_ns(bar * any_value(every_ns)) AS bar,
       sum(ns)::DOUBLE / 1e9 AS live_s,
       coalesce(sum(ns) FILTER (ask IS NOT NULL AND bid IS NOT NULL), 0)::DOUBLE / 1e9
           AS two_sided_s,
       sum((ask - bid)::DOUBLE * ns)
           / sum(ns) FILTER (ask IS NOT NULL AND bid IS NOT NULL) * 100 AS mean_cents,
       (min(ask - bid) * 100)::DECIMAL(8, 2) AS min_cents,
       (max(ask - bid) * 100)::DECIMAL(8, 2) AS max_cents,
       sum((ask - bid)::DOUBLE / ((ask + bid)::DOUBLE / 2) * ns) FILTER (ask + bid > 0)
           / sum(ns) FILTER (ask + bid > 0) * 1e4 AS mean_bps_of_mid,
       count(*) AS quotes
FROM part
GROUP BY part.bar
ORDER BY part.bar;

-- The volume-weighted average YES price of a market over [start, stop) (null: all) in bars of an
-- interval (null: one bar). A trade that two recorders have counts once, when it was first
-- recorded. Block trades are matched off the book: they count apart. Trades from before the
-- exchange marked them (August 2026) count as not block.
CREATE OR REPLACE MACRO vwap_bars(wanted, start, stop, every) AS TABLE
WITH asked AS (
    SELECT coalesce(lake.instant_ns(start), -9223372036854775808) AS start_ns,
           coalesce(lake.instant_ns(stop), 9223372036854775807) AS stop_ns,
           lake.length_ns(every) AS every_ns
), trade AS (
    SELECT t.at_ns, t.price, t.size, coalesce(t.is_block, false) AS is_block
    FROM lake.trade t
    WHERE t.ticker = wanted
    QUALIFY t.trade_id IS NULL
         OR t.stream = first_value(t.stream)
                OVER (PARTITION BY t.trade_id ORDER BY t.at_ns, t.stream, t.seq)
)
SELECT make_timestamp_ns(at_ns // every_ns * every_ns) AS bar,
       sum(price::DECIMAL(38, 4) * size) FILTER (NOT is_block)::DOUBLE
           / sum(size) FILTER (NOT is_block)::DOUBLE AS vwap,
       coalesce(sum(size) FILTER (NOT is_block), 0)::DECIMAL(18, 2) AS volume,
       count(*) FILTER (NOT is_block) AS trades,
       coalesce(sum(size) FILTER (is_block), 0)::DECIMAL(18, 2) AS block_volume,
       count(*) FILTER (is_block) AS block_trades,
       min(price) FILTER (NOT is_block) AS low,
       max(price) FILTER (NOT is_block) AS high
FROM trade, asked
WHERE at_ns >= start_ns AND at_ns < stop_ns
GROUP BY at_ns // every_ns, every_ns
ORDER BY bar;
