-- One row is a time in which trades of market $1 may be missing: between the connections that
-- carried it, and where numbers of their trade subscription are.
WITH up AS (
    SELECT DISTINCT c.session, c.conn, c.first_ns, c.end_ns
    FROM lake.presence p JOIN lake.stream s USING (stream)
    JOIN lake.connection c ON c.session = s.session AND c.conn = s.conn
    WHERE p.ticker = $1
), ordered AS (
    SELECT max(end_ns) OVER (ORDER BY first_ns, end_ns) AS down_ns,
           lead(first_ns) OVER (ORDER BY first_ns, end_ns) AS up_ns
    FROM up
)
SELECT down_ns AS from_ns, up_ns AS to_ns, 'disconnected' AS ended_by
FROM ordered WHERE up_ns > down_ns
UNION ALL
SELECT h.from_ns, h.found_ns, 'gap'
FROM lake.hole h JOIN up ON up.session = h.session AND up.conn = h.conn
WHERE h.kind = 'sequence' AND h.channel = 'trade'
ORDER BY from_ns
