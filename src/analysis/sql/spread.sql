-- The quoted spread of market $1 in bars of $4 ns (null: one bar) over [$2, $3).
-- One row is a bar in which the book was known for some time. Averages are weighted with time and
-- taken only over time in which the book is known to be right and has both sides.
WITH piece AS (
    SELECT greatest(q.at_ns, l.from_ns, $2) AS from_ns,
           least(q.at_ns + q.stood_ns, l.to_ns, $3) AS to_ns,
           q.bid, q.ask
    FROM lake.quote q JOIN lake.live($1) l ON l.span = q.span
    WHERE q.ticker = $1
      AND q.at_ns + q.stood_ns > greatest($2, l.from_ns) AND q.at_ns < least($3, l.to_ns)
), part AS (
    SELECT bar, bid, ask,
           (least(to_ns, (bar + 1) * $4) - greatest(from_ns, bar * $4)) AS ns
    FROM (SELECT *, unnest(range(from_ns // $4, (to_ns - 1) // $4 + 1)) AS bar
          FROM piece WHERE to_ns > from_ns AND $4 IS NOT NULL)
    UNION ALL
    SELECT NULL, bid, ask, to_ns - from_ns FROM piece WHERE to_ns > from_ns AND $4 IS NULL
)
SELECT bar * $4 AS bar_ns,
       sum(ns)::DOUBLE / 1e9 AS live_s,
       coalesce(sum(ns) FILTER (ask IS NOT NULL AND bid IS NOT NULL), 0)::DOUBLE / 1e9 AS two_sided_s,
       (sum((ask - bid)::DOUBLE * ns) / sum(ns) FILTER (ask IS NOT NULL AND bid IS NOT NULL)) * 100
           AS mean_cents,
       (min(ask - bid) * 100)::DOUBLE AS min_cents,
       (max(ask - bid) * 100)::DOUBLE AS max_cents,
       sum((ask - bid)::DOUBLE / ((ask + bid)::DOUBLE / 2) * ns) FILTER (ask + bid > 0)
           / sum(ns) FILTER (ask + bid > 0) * 1e4 AS mean_bps_of_mid,
       count(*) AS quotes
FROM part
GROUP BY bar
ORDER BY bar
