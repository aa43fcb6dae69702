"""The deltas of JSON lines by DuckDB's own typed reader, sorted into zstd Parquet, or only scanned.

python3 touch_duckdb.py FOLDER [OUT]        (pip install duckdb)
"""

import sys
import time

import duckdb

COLUMNS = """{recv_ns: 'BIGINT', conn: 'INTEGER', frame: 'STRUCT(type VARCHAR, sid INTEGER, seq BIGINT,
    msg STRUCT(market_ticker VARCHAR, price_dollars DECIMAL(6,4), delta_fp DECIMAL(18,2), side VARCHAR,
    ts_ms BIGINT))'}"""

folder, out = sys.argv[1], sys.argv[2:]
start = time.perf_counter()
deltas = f"""SELECT frame.msg.market_ticker AS ticker, recv_ns, conn, frame.sid AS sid,
    frame.seq AS seq, frame.msg.price_dollars AS price, frame.msg.delta_fp AS size,
    frame.msg.side AS side, frame.msg.ts_ms AS ts_ms
    FROM read_json('{folder}/**/*.jsonl', columns = {COLUMNS}, format = 'newline_delimited')
    WHERE frame.type = 'orderbook_delta'"""
if out:
    sql = f"COPY ({deltas} ORDER BY ticker, recv_ns, seq) TO '{out[0]}' (FORMAT parquet, COMPRESSION zstd)"
    count = duckdb.execute(sql).fetchone()[0]
else:
    sql = f"SELECT count(*), sum(price), sum(size), max(ticker), max(side), max(ts_ms), max(recv_ns) FROM ({deltas})"
    count = duckdb.execute(sql).fetchone()[0]
print(count, time.perf_counter() - start)
