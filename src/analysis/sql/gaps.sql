-- One row is a hole of any session, oldest first. A recording without times has none here either.
WITH unsure AS (
    SELECT hole, count(*) AS markets, string_agg(ticker, ' ' ORDER BY ticker) AS tickers
    FROM lake.hole_market GROUP BY hole
)
SELECT h.kind, h.session, h.conn, h.sid, h.channel, h.expected, h.got, CASE WHEN h.from_ns > 0 THEN h.from_ns END,
       CASE WHEN h.found_ns > 0 THEN h.found_ns END,
       CASE WHEN h.repaired_ns > 0 THEN h.repaired_ns END, h.declared, h.found, h.cause, coalesce(u.markets, 0)::BIGINT, u.tickers
FROM lake.hole h LEFT JOIN unsure u USING (hole)
ORDER BY h.from_ns, h.session, h.conn, h.sid, h.expected
