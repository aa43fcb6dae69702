-- One row is a level of the newest whole book of market $1 and stream $2 that lies in frames $3 to
-- $4, up to instant $5.
WITH whole AS (
    SELECT * FROM lake.checkpoint c
    WHERE c.ticker = $1 AND c.stream = $2 AND c.seq BETWEEN $3 AND $4 AND c.at_ns <= $5
)
SELECT CASE c.side WHEN 'yes' THEN 1 WHEN 'no' THEN 2 END::BIGINT, c.price, c.size, c.seq, c.at_ns,
       c.at_ns + c.recv_off_ns, c.event_ns
FROM whole c
WHERE c.seq = (SELECT max(seq) FROM whole)
