-- One row is a market: what is recorded of it. Seconds live count a time that two recorders share
-- once; a hole is a time between two live ones.
WITH live AS (
    SELECT market, sum(to_ns - from_ns)::DOUBLE / 1e9 AS live_s,
           count(*) FILTER (from_ns > before_ns) AS holes
    FROM (SELECT market, from_ns, to_ns,
                 lag(to_ns) OVER (PARTITION BY market ORDER BY from_ns) AS before_ns
          FROM lake.live)
    GROUP BY market
), seen AS (
    SELECT market, min(first_ns) AS first_ns, max(last_ns) AS last_ns,
           sum(snapshots)::BIGINT AS snapshots, sum(deltas)::BIGINT AS deltas,
           sum(trades)::BIGINT AS trades, sum(tickers)::BIGINT AS tickers,
           bool_and(unknown) AS unknown
    FROM lake.presence GROUP BY market
)
SELECT m.ticker, m.series, seen.first_ns, seen.last_ns,
       snapshots + deltas + trades + tickers AS frames, snapshots, deltas, trades, tickers,
       coalesce(live.live_s, 0) AS live_s, coalesce(live.holes, 0)::BIGINT AS holes, seen.unknown
FROM seen JOIN lake.market m USING (market) LEFT JOIN live USING (market)
ORDER BY m.ticker
