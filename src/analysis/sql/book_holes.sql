-- One row is a time between two live ones of market $1, or after the last when the tape goes on
-- without its book.
WITH live AS (
    SELECT l.from_ns, l.to_ns, p.ended_by,
           lead(l.from_ns) OVER (ORDER BY l.from_ns) AS next_ns
    FROM lake.live l JOIN lake.span p USING (span)
    WHERE l.market = $1
), tape AS (
    SELECT max(last_ns) AS last_ns FROM lake.presence WHERE market = $1
)
SELECT to_ns, coalesce(next_ns, last_ns + 1), ended_by
FROM live, tape
WHERE coalesce(next_ns, last_ns + 1) > to_ns
ORDER BY to_ns
