-- One row is a span of market $1, oldest first: a time in which its book is known to be right.
SELECT p.span::BIGINT, p.stream::BIGINT, p.from_ns, p.to_ns, p.from_seq, p.to_seq, p.ended_by,
       s.session, s.conn, s.sid, coalesce(x.last_ns, p.to_ns), x.own
FROM lake.span p JOIN lake.stream s USING (stream) JOIN lake.session x USING (session)
WHERE p.ticker = $1
ORDER BY p.from_ns, p.span
