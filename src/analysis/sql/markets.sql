-- One row is a market: what is recorded of it. Seconds live count a time that two recorders share
-- once; a hole is a time between two live ones.
WITH live AS (
    SELECT ticker, sum(to_ns - from_ns)::DOUBLE / 1e9 AS live_s,
           count(*) FILTER (from_ns > before_ns) AS holes
    FROM (SELECT ticker, from_ns, to_ns,
                 lag(to_ns) OVER (PARTITION BY ticker ORDER BY from_ns) AS before_ns
          FROM lake.all_live)
    GROUP BY ticker
), seen AS (
    SELECT ticker, split_part(ticker, '-', 1) AS series,
           min(first_ns) AS first_ns, max(last_ns) AS last_ns,
           sum(snapshots)::BIGINT AS snapshots, sum(deltas)::BIGINT AS deltas,
           sum(trades)::BIGINT AS trades, sum(tickers)::BIGINT AS tickers,
           bool_and(unknown) AS unknown
    FROM lake.presence GROUP BY ticker
)
SELECT ticker, series, seen.first_ns, seen.last_ns,
       snapshots + deltas + trades + tickers AS frames, snapshots, deltas, trades, tickers,
       coalesce(live.live_s, 0) AS live_s, coalesce(live.holes, 0)::BIGINT AS holes, seen.unknown
FROM seen LEFT JOIN live USING (ticker)
ORDER BY ticker
