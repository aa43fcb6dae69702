-- One row is a piece of time in which the book of a market is known to be right, and the span to
-- take it from. Pieces of a market do not overlap: where two recorders have it at once, the span
-- that started last counts.
CREATE OR REPLACE MACRO lake.live(wanted) AS TABLE
WITH spans AS (
    SELECT ticker, span, from_ns, to_ns FROM lake.span WHERE ticker = wanted
), edge AS (
    SELECT DISTINCT unnest([from_ns, to_ns]) AS at_ns FROM spans
), step AS (
    SELECT at_ns AS from_ns, lead(at_ns) OVER (ORDER BY at_ns) AS to_ns FROM edge
)
SELECT step.from_ns, step.to_ns, arg_max(spans.span, (spans.from_ns, spans.span)) AS span
FROM step JOIN spans ON spans.from_ns <= step.from_ns AND spans.to_ns >= step.to_ns
WHERE step.to_ns > step.from_ns
GROUP BY ALL
ORDER BY ALL;

-- The same of all markets.
CREATE OR REPLACE VIEW lake.all_live AS
WITH edge AS (
    SELECT DISTINCT ticker, unnest([from_ns, to_ns]) AS at_ns FROM lake.span
), step AS (
    SELECT ticker, at_ns AS from_ns,
           lead(at_ns) OVER (PARTITION BY ticker ORDER BY at_ns) AS to_ns
    FROM edge
)
SELECT step.ticker, step.from_ns, step.to_ns,
       arg_max(span.span, (span.from_ns, span.span)) AS span
FROM step
JOIN lake.span ON span.ticker = step.ticker
              AND span.from_ns <= step.from_ns AND span.to_ns >= step.to_ns
WHERE step.to_ns > step.from_ns
GROUP BY ALL;
