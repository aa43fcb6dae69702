-- One row is a time between two live ones of market $1, or after the last when the tape goes on
-- without its book.
WITH known AS (
    SELECT l.from_ns, l.to_ns, p.ended_by,
           lead(l.from_ns) OVER (ORDER BY l.from_ns) AS next_ns
    FROM lake.live($1) l JOIN lake.span p ON p.span = l.span
    WHERE p.ticker = $1
), tape AS (
    SELECT max(last_ns) AS last_ns FROM lake.presence WHERE ticker = $1
)
SELECT to_ns, coalesce(next_ns, last_ns + 1), ended_by
FROM known, tape
WHERE coalesce(next_ns, last_ns + 1) > to_ns
ORDER BY to_ns
