"""A question asked of JSON lines by DuckDB's typed reader: the answer, and the seconds it took.

python3 questions_duckdb.py vwap|book TICKER AT_NS FOLDER        (pip install duckdb)

`vwap` is the price; `book` the contracts that rest in the book at an instant, summed.
"""

import sys
import time

import duckdb

COLUMNS = {
    "vwap": "market_ticker VARCHAR, yes_price_dollars DECIMAL(6,4), count_fp DECIMAL(18,2)",
    "book": """market_ticker VARCHAR, price_dollars DECIMAL(6,4), delta_fp DECIMAL(18,2), side VARCHAR,
        yes_dollars_fp VARCHAR[][], no_dollars_fp VARCHAR[][]""",
}
ANSWERS = {
    "vwap": """SELECT sum(msg.yes_price_dollars::DOUBLE * msg.count_fp::DOUBLE) / sum(msg.count_fp::DOUBLE)
        FROM frames WHERE type = 'trade' AND msg.market_ticker = $ticker""",
    "book": """, mine AS (FROM frames WHERE recv_ns <= $at AND msg.market_ticker = $ticker),
        whole AS (FROM mine WHERE type = 'orderbook_snapshot' ORDER BY seq DESC LIMIT 1),
        level AS (SELECT 'yes' AS side, unnest(msg.yes_dollars_fp) AS level FROM whole
            UNION ALL SELECT 'no', unnest(msg.no_dollars_fp) FROM whole),
        change AS (SELECT side, level[1]::DECIMAL(6,4) AS price, level[2]::DECIMAL(18,2) AS size FROM level
            UNION ALL SELECT msg.side, msg.price_dollars, msg.delta_fp FROM mine
            WHERE type = 'orderbook_delta' AND seq > (SELECT seq FROM whole)),
        book AS (SELECT side, price, sum(size) AS size FROM change GROUP BY ALL HAVING sum(size) > 0)
        SELECT sum(size) FROM book""",
}

question, ticker, at, folder = sys.argv[1:]
start = time.perf_counter()
columns = f"{{recv_ns: 'BIGINT', frame: 'STRUCT(type VARCHAR, seq BIGINT, msg STRUCT({COLUMNS[question]}))'}}"
frames = f"""WITH frames AS (SELECT recv_ns, frame.type, frame.seq, frame.msg FROM read_json(
    '{folder}/**/*.jsonl', columns = {columns}, format = 'newline_delimited'))"""
parameters = {"ticker": ticker, "at": int(at)} if question == "book" else {"ticker": ticker}
value = duckdb.execute(frames + ANSWERS[question], parameters).fetchone()[0]
print(float(value), time.perf_counter() - start)
