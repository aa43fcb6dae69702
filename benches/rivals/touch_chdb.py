"""The deltas of JSON lines by ClickHouse's typed reader: scanned.

python3 touch_chdb.py FOLDER        (pip install chdb)
"""

import sys
import time

import chdb

COLUMNS = """recv_ns Int64, conn Int32, frame Tuple(type String, sid Int32, seq Int64,
    msg Tuple(market_ticker String, price_dollars Decimal(6,4), delta_fp Decimal(18,2), side String,
    ts_ms Int64))"""

start = time.perf_counter()
sql = f"""SELECT count(), sum(frame.msg.price_dollars), sum(frame.msg.delta_fp),
    max(frame.msg.market_ticker), max(frame.msg.side), max(frame.msg.ts_ms), max(recv_ns)
    FROM file('{sys.argv[1]}/**/*.jsonl', JSONEachRow, '{COLUMNS}')
    WHERE frame.type = 'orderbook_delta'
    SETTINGS input_format_skip_unknown_fields = 1, input_format_allow_errors_num = 1000"""
count = str(chdb.query(sql, "CSV")).split(",")[0]
print(count, time.perf_counter() - start)
