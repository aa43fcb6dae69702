-- One row is a piece of time in which the book of a market is known to be right, and the span to
-- take it from. Pieces of a market do not overlap: where two recorders have it at once, the span
-- that started last counts.
CREATE OR REPLACE TABLE lake.live AS
WITH edge AS (
    SELECT DISTINCT market, unnest([from_ns, to_ns]) AS at_ns FROM lake.span
), step AS (
    SELECT market, at_ns AS from_ns,
           lead(at_ns) OVER (PARTITION BY market ORDER BY at_ns) AS to_ns
    FROM edge
)
SELECT step.market, step.from_ns, step.to_ns,
       arg_max(span.span, (span.from_ns, span.span)) AS span
FROM step
JOIN lake.span ON span.market = step.market
              AND span.from_ns <= step.from_ns AND span.to_ns >= step.to_ns
WHERE step.to_ns > step.from_ns
GROUP BY ALL
ORDER BY ALL;
