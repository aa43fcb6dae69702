-- One row is a level of a snapshot or a change of a level; market $1, stream $2, frames $3 to $4,
-- up to instant $5; in the order of the frames.
SELECT CASE e.side WHEN 'yes' THEN 1 WHEN 'no' THEN 2 END::BIGINT, e.price, e.size, e.seq, e.at_ns,
       e.at_ns + e.recv_off_ns, e.event_ns
FROM lake.book_event e
WHERE e.ticker = $1 AND e.stream = $2 AND e.seq BETWEEN $3 AND $4 AND e.at_ns <= $5
ORDER BY e.seq
