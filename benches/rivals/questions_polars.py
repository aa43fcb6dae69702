"""A question asked of JSON lines by polars: the answer, and the seconds it took.

python3 questions_polars.py vwap|book TICKER AT_NS FOLDER        (pip install polars)

`vwap` is the price; `book` the contracts that rest in the book at an instant, summed.
"""

import sys
import time
from pathlib import Path

import polars as pl

LADDER = pl.List(pl.List(pl.String))
COLUMNS = {
    "vwap": {"market_ticker": pl.String, "yes_price_dollars": pl.String, "count_fp": pl.String},
    "book": {"market_ticker": pl.String, "price_dollars": pl.String, "delta_fp": pl.String,
             "side": pl.String, "yes_dollars_fp": LADDER, "no_dollars_fp": LADDER},
}


def vwap(mine):
    trades = mine.filter(pl.col("type") == "trade")
    price, size = pl.col("yes_price_dollars").cast(pl.Float64), pl.col("count_fp").cast(pl.Float64)
    return trades.select((price * size).sum() / size.sum()).collect().item()


def book(mine, at):
    until = mine.filter((pl.col("recv_ns") <= at) & pl.col("type").str.starts_with("orderbook"))
    rows = until.collect()
    whole = rows.filter(pl.col("type") == "orderbook_snapshot").sort("seq")[-1]
    contracts = pl.Decimal(18, 2)
    changes = [rows.filter((pl.col("type") == "orderbook_delta") & (pl.col("seq") > whole["seq"][0]))
               .select("side", "price_dollars", pl.col("delta_fp").cast(contracts))]
    for side in ("yes", "no"):
        levels = whole.select(pl.col(f"{side}_dollars_fp").explode().alias("level"))
        level = pl.col("level").list
        changes.append(levels.select(pl.lit(side).alias("side"), level.get(0).alias("price_dollars"),
                                     level.get(1).cast(contracts).alias("delta_fp")))
    book = pl.concat(changes).group_by("side", "price_dollars").agg(pl.col("delta_fp").sum())
    return book.filter(pl.col("delta_fp") > 0)["delta_fp"].sum()


question, ticker, at, folder = sys.argv[1:]
start = time.perf_counter()
files = sorted(path for path in Path(folder).rglob("*.jsonl") if path.stat().st_size)
frame = pl.Struct({"type": pl.String, "seq": pl.Int64, "msg": pl.Struct(COLUMNS[question])})
frames = pl.scan_ndjson(files, schema={"recv_ns": pl.Int64, "frame": frame})
mine = frames.unnest("frame").unnest("msg").filter(pl.col("market_ticker") == ticker)
value = vwap(mine) if question == "vwap" else book(mine, int(at))
print(float(value), time.perf_counter() - start)
