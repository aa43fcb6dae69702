-- One row is a hole of any session, oldest first.
SELECT h.kind, n.name, h.conn, h.sid, h.channel, h.expected, h.got, h.from_ns, h.found_ns,
       h.repaired_ns, h.declared, h.found, h.cause,
       (SELECT count(*) FROM lake.hole_market x WHERE x.hole = h.hole)::BIGINT,
       (SELECT string_agg(m.ticker, ' ' ORDER BY m.ticker)
        FROM lake.hole_market x JOIN lake.market m USING (market) WHERE x.hole = h.hole)
FROM lake.hole h JOIN lake.session n USING (session)
ORDER BY h.from_ns, n.name, h.conn, h.sid, h.expected
