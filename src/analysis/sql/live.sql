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
), part AS (
    SELECT step.from_ns, step.to_ns, arg_max(spans.span, (spans.from_ns, spans.span)) AS span
    FROM step JOIN spans ON spans.from_ns <= step.from_ns AND spans.to_ns >= step.to_ns
    WHERE step.to_ns > step.from_ns
    GROUP BY ALL
), numbered AS (
    SELECT *, count(*) FILTER (is_first) OVER (ORDER BY from_ns) AS piece
    FROM (SELECT *, (from_ns, span) IS DISTINCT FROM (lag(to_ns) OVER before, lag(span) OVER before)
                        AS is_first
          FROM part WINDOW before AS (ORDER BY from_ns))
)
SELECT min(from_ns) AS from_ns, max(to_ns) AS to_ns, span
FROM numbered
GROUP BY piece, span
ORDER BY ALL;

-- The same of all markets, cut wherever a span begins or ends within an island, which is spans that
-- overlap: mostly one is alone.
CREATE OR REPLACE VIEW lake.all_live AS
WITH ordered AS (
    SELECT ticker, span, from_ns, to_ns,
           from_ns < max(to_ns) OVER (PARTITION BY ticker ORDER BY from_ns, span
                                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_beside
    FROM lake.span
    WHERE to_ns > from_ns
), spans AS (
    SELECT ticker, span, from_ns, to_ns,
           count(*) FILTER (NOT coalesce(is_beside, false))
               OVER (PARTITION BY ticker ORDER BY from_ns, span) AS island
    FROM ordered
), edge AS (
    SELECT DISTINCT ticker, island, unnest([from_ns, to_ns]) AS at_ns FROM spans
), step AS (
    SELECT ticker, island, at_ns AS from_ns,
           lead(at_ns) OVER (PARTITION BY ticker, island ORDER BY at_ns) AS to_ns
    FROM edge
)
SELECT step.ticker, step.from_ns, step.to_ns,
       arg_max(spans.span, (spans.from_ns, spans.span)) AS span
FROM step
JOIN spans ON spans.ticker = step.ticker AND spans.island = step.island
          AND spans.from_ns <= step.from_ns AND spans.to_ns >= step.to_ns
WHERE step.to_ns > step.from_ns
GROUP BY ALL;
