-- Questions as table macros, the same as the program answers without SQL.

-- The quoted spread of a market over [start, stop) (null: all) in bars of an interval (null: one
-- bar), in cents. Averages are weighted with time and taken only over time in which the book is
-- known to be right and has both sides.
CREATE OR REPLACE MACRO spread_bars(wanted, start, stop, every) AS TABLE
WITH asked AS (
    SELECT coalesce(epoch_ns(start::TIMESTAMP_NS), -9223372036854775808) AS start_ns,
           coalesce(epoch_ns(stop::TIMESTAMP_NS), 9223372036854775807) AS stop_ns,
           (epoch(every::INTERVAL) * 1000000000)::BIGINT AS every_ns
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
    SELECT coalesce(epoch_ns(start::TIMESTAMP_NS), -9223372036854775808) AS start_ns,
           coalesce(epoch_ns(stop::TIMESTAMP_NS), 9223372036854775807) AS stop_ns,
           (epoch(every::INTERVAL) * 1000000000)::BIGINT AS every_ns
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
