-- One row is a connection that carried a market of the table `chosen`, whether the channel $1 was
-- asked for on it, and a hole of that; null where it has none.
WITH carried AS (
    SELECT DISTINCT presence.ticker, connection.session, connection.conn,
           connection.first_ns, connection.end_ns
    FROM lake.presence SEMI JOIN chosen USING (ticker)
    JOIN lake.stream USING (stream)
    JOIN lake.connection ON connection.session = stream.session AND connection.conn = stream.conn
), asked AS (
    SELECT DISTINCT session, conn FROM lake.stream WHERE channel = $1
)
-- The lifecycle of all markets comes on one connection of a session.
SELECT ticker, first_ns, end_ns, asked.conn IS NOT NULL OR $1 = 'market_lifecycle_v2' AS is_asked,
       hole.kind, hole.from_ns, hole.found_ns, hole.repaired_ns
FROM carried LEFT JOIN asked USING (session, conn)
LEFT JOIN lake.hole
       ON hole.session = carried.session AND hole.conn = carried.conn AND hole.channel = $1
ORDER BY ticker, first_ns
