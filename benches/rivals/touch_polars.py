"""The deltas of JSON lines by polars, sorted into zstd Parquet.

python3 touch_polars.py FOLDER OUT        (pip install polars)
"""

import sys
import time
from pathlib import Path

import polars as pl

MSG = pl.Struct({"market_ticker": pl.String, "price_dollars": pl.String, "delta_fp": pl.String,
                 "side": pl.String, "ts_ms": pl.Int64})
FRAME = pl.Struct({"type": pl.String, "sid": pl.Int64, "seq": pl.Int64, "msg": MSG})

folder, out = Path(sys.argv[1]), sys.argv[2]
start = time.perf_counter()
files = sorted(path for path in folder.rglob("*.jsonl") if path.stat().st_size)
frames = pl.scan_ndjson(files, schema={"recv_ns": pl.Int64, "conn": pl.Int64, "frame": FRAME})
frame, msg = pl.col("frame").struct, pl.col("frame").struct.field("msg").struct
deltas = frames.filter(frame.field("type") == "orderbook_delta").select(
    msg.field("market_ticker").alias("ticker"), "recv_ns", "conn", frame.field("sid"),
    frame.field("seq"), msg.field("price_dollars").cast(pl.Decimal(6, 4)).alias("price"),
    msg.field("delta_fp").cast(pl.Decimal(18, 2)).alias("size"), msg.field("side"),
    msg.field("ts_ms"),
)
deltas.sort("ticker", "recv_ns", "seq").sink_parquet(out, compression="zstd")
seconds = time.perf_counter() - start
print(pl.scan_parquet(out).select(pl.len()).collect().item(), seconds)
