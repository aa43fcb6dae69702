-- One row is a hole of a market of the table `chosen`. Of a book ($1 null): a time between two
-- live ones, or after the last when the tape goes on. Of a channel $1: a time between the
-- connections that carried the market, and where numbers of that channel are missing. And what of
-- $2 to $3, where they are given, lies before and after everything recorded.
WITH live AS (
    SELECT ticker, from_ns, to_ns, span FROM lake.all_live SEMI JOIN chosen USING (ticker)
    WHERE $1 IS NULL
), next AS (
    SELECT live.ticker, live.to_ns AS from_ns, span.ended_by,
           coalesce(lead(live.from_ns) OVER (PARTITION BY live.ticker ORDER BY live.from_ns),
                    tape.last_ns + 1) AS to_ns
    FROM live JOIN lake.span ON span.ticker = live.ticker AND span.span = live.span
    JOIN (SELECT ticker, max(last_ns) AS last_ns FROM lake.presence GROUP BY ticker) tape
      ON tape.ticker = live.ticker
), carried AS (
    SELECT DISTINCT p.ticker, c.session, c.conn, c.first_ns, c.end_ns
    FROM lake.presence p SEMI JOIN chosen USING (ticker)
    JOIN lake.stream s USING (stream)
    JOIN lake.connection c ON c.session = s.session AND c.conn = s.conn
    WHERE $1 IS NOT NULL
), up AS (
    SELECT carried.* FROM carried
    -- The lifecycle of all markets comes on one connection of a session.
    SEMI JOIN (SELECT session, conn FROM lake.stream
               WHERE channel = $1 OR $1 = 'market_lifecycle_v2') asked
           ON asked.session = carried.session AND asked.conn = carried.conn
), unasked AS (
    SELECT carried.* FROM carried
    ANTI JOIN up ON up.ticker = carried.ticker
                AND up.first_ns < carried.end_ns AND up.end_ns > carried.first_ns
), down AS (
    SELECT ticker,
           max(end_ns) OVER (PARTITION BY ticker ORDER BY first_ns, end_ns) AS from_ns,
           lead(first_ns) OVER (PARTITION BY ticker ORDER BY first_ns, end_ns) AS to_ns
    FROM up
), recorded AS (
    SELECT ticker, min(from_ns) AS first_ns, max(to_ns) AS last_ns
    FROM (SELECT ticker, from_ns, to_ns FROM live
          UNION ALL SELECT ticker, first_ns, end_ns FROM carried)
    GROUP BY ticker
)
SELECT ticker, from_ns, to_ns, ended_by AS reason FROM next WHERE to_ns > from_ns
UNION ALL
SELECT ticker, from_ns, to_ns, 'disconnected' FROM down WHERE to_ns > from_ns
UNION ALL
SELECT ticker, first_ns, end_ns, 'unasked' FROM unasked
UNION ALL
SELECT up.ticker, h.from_ns, h.found_ns + 1, 'gap'
FROM lake.hole h JOIN up ON up.session = h.session AND up.conn = h.conn
WHERE h.kind = 'sequence' AND h.channel = $1
UNION ALL
SELECT ticker, $2, first_ns, 'before' FROM recorded WHERE $2 < first_ns
UNION ALL
SELECT ticker, last_ns, $3, 'after' FROM recorded WHERE $3 > last_ns
ORDER BY ALL
