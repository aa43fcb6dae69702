-- One row is a market of the table `chosen`, the first and last record of it, and a time in which
-- its book is known, with what ended that; null where it is never known.
WITH recorded AS (
    SELECT ticker, min(first_ns) AS first_ns, max(last_ns) AS last_ns
    FROM lake.presence SEMI JOIN chosen USING (ticker)
    GROUP BY ticker
), live AS (
    SELECT live.ticker, live.from_ns, live.to_ns, span.ended_by
    FROM lake.all_live live SEMI JOIN chosen USING (ticker)
    JOIN lake.span ON span.ticker = live.ticker AND span.span = live.span
)
SELECT ticker, first_ns, last_ns, from_ns, to_ns, ended_by
FROM recorded LEFT JOIN live USING (ticker)
ORDER BY ticker, from_ns
