-- Volume-weighted average YES price of market $1 in bars of $4 ns (null: one bar) over [$2, $3).
-- One row is a bar with a trade. A trade that two recorders have counts once. Block trades are
-- matched off the book: they count apart. Trades from before the exchange marked them
-- (August 2026) count as not block.
WITH trade AS (
    SELECT t.at_ns, t.price, t.size, coalesce(t.is_block, false) AS is_block
    FROM lake.trade t
    WHERE t.ticker = $1
    QUALIFY t.trade_id IS NULL
         OR row_number() OVER (PARTITION BY t.trade_id ORDER BY t.at_ns, t.stream, t.seq) = 1
)
SELECT (at_ns // $4) * $4 AS bar_ns,
       (sum(price::DOUBLE * size::DOUBLE) FILTER (NOT is_block)
           / sum(size::DOUBLE) FILTER (NOT is_block)) AS vwap,
       coalesce(sum(size) FILTER (NOT is_block), 0)::VARCHAR AS volume,
       count(*) FILTER (NOT is_block) AS trades,
       coalesce(sum(size) FILTER (is_block), 0)::DECIMAL(18,2)::VARCHAR AS block_volume,
       count(*) FILTER (is_block) AS block_trades,
       min(price) FILTER (NOT is_block)::VARCHAR AS low,
       max(price) FILTER (NOT is_block)::VARCHAR AS high
FROM trade
WHERE at_ns >= $2 AND at_ns < $3
GROUP BY at_ns // $4
ORDER BY bar_ns
