#!/usr/bin/env python3
"""Opens a lake and an export with several engines, and compares what they read.

    scripts/engines.py [--lake DIR] [--export DIR] [--without ENGINE ...]

Of each table every engine tells its columns and their types, the number of rows, the first and last
time, and exact sums of price times size. It exits with 1 where two differ, or where a column is not
of the type that docs/lake.md gives. Engines: DuckDB, pyarrow, pandas, polars, chDB, and Spark on
this machine alone; those that are not installed are named and skipped (pip install duckdb pyarrow
pandas polars chdb pyspark; Spark needs Java 17 or newer).
"""

import argparse
import importlib.util
import json
import os
import re
import sys
import time
from decimal import Decimal
from pathlib import Path

TIMES = ("ts", "at_ns", "from_ns", "first_ns")
PAIRS = (("price", "size"), ("bid", "bid_size"), ("ask", "ask_size"), ("yes_bid", "yes_bid_size"))
DOLLARS = {"price", "no_price", "bid", "ask", "yes_bid", "yes_ask", "spread"}
CONTRACTS = {"size", "bid_size", "ask_size", "yes_bid_size", "yes_ask_size", "last_trade_size", "volume",
             "open_interest"}
FOLDERS = ("date", "series")


def plan(columns):
    """The column to take the time of, and those to multiply."""
    when = next((name for name in TIMES if name in columns), None)
    return when, [pair for pair in PAIRS if set(pair) <= set(columns)]


def word(kind):
    """A type as all engines would call it."""
    kind = kind.lower().replace(" ", "").removeprefix("lowcardinality(").removeprefix("nullable(")
    numbers = re.match(r"decimal(?:32|64|128|type)?\((?:precision=)?(\d+),(?:scale=)?(\d+)\)", kind)
    if numbers:
        # Spark has no unsigned integers.
        return "whole" if numbers.group(2) == "0" else f"decimal({numbers[1]},{numbers[2]})"
    words = {"int": "whole", "uint": "whole", "bigint": "whole", "ubigint": "whole", "time": "time",
             "datetime": "time", "string": "text", "large_string": "text", "str": "text", "varchar": "text",
             "bool": "bool", "float": "float", "double": "float"}
    return next((words[name] for name in sorted(words, key=len, reverse=True) if kind.startswith(name)), kind)


def right(name, kind):
    """Whether a column has the type that it should have; Spark reads nanoseconds as numbers."""
    if name in DOLLARS:
        return kind == "decimal(6,4)"
    if name in CONTRACTS:
        return kind == "decimal(18,2)"
    if name.endswith("_ns"):
        return kind == "whole"
    return kind in ("time", "whole") if name.startswith("ts") else True


def facts(types, rows, times, sums):
    types = {name: word(str(kind)) for name, kind in types.items() if name not in FOLDERS}
    sums = [Decimal(0 if value is None else str(value)).quantize(Decimal("1e-6")) for value in sums]
    return {"types": types, "rows": rows, "times": tuple(times) if rows else (), "sums": sums}


def with_duckdb(files):
    import duckdb
    table = duckdb.read_parquet(files, hive_partitioning=False)
    types = dict(zip(table.columns, table.types))
    when, pairs = plan(types)
    ns = f"epoch_ns({when})" if when == "ts" else when
    columns = ["count(*)", f"min({ns})", f"max({ns})"] if when else ["count(*)", "NULL", "NULL"]
    columns += [f"sum({price} * {size})" for price, size in pairs]
    rows, first, last, *sums = table.aggregate(", ".join(columns)).fetchall()[0]
    return facts(types, rows, (first, last), sums)


def with_pyarrow(files):
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    table = ds.dataset(files, format="parquet").to_table()
    types = {field.name: field.type for field in table.schema}
    when, pairs = plan(types)
    ends = pc.min_max(table[when].cast(pa.int64())).as_py() if when else {"min": None, "max": None}
    sums = [pc.sum(pc.multiply(table[price], table[size])).as_py() for price, size in pairs]
    return facts(types, table.num_rows, (ends["min"], ends["max"]), sums)


def with_pandas(files):
    import pandas as pd
    table = pd.concat([pd.read_parquet(file, partitioning=None, dtype_backend="pyarrow") for file in files])
    types = {name: kind.pyarrow_dtype for name, kind in table.dtypes.items()}
    when, pairs = plan(types)
    ns = table[when].astype("int64[pyarrow]") if when else None
    times = (ns.min(), ns.max()) if when else (None, None)
    sums = [(table[price] * table[size]).sum() for price, size in pairs]
    return facts(types, len(table), times, sums)


def with_polars(files):
    import polars as pl
    table = pl.scan_parquet(files, hive_partitioning=False)
    types = table.collect_schema()
    when, pairs = plan(types)
    time = pl.col(when).cast(pl.Int64) if when else pl.lit(None)
    wide = [(pl.col(price).cast(pl.Decimal(38, 6)), pl.col(size).cast(pl.Decimal(38, 6))) for price, size in pairs]
    products = [(price * size).sum().alias(str(n)) for n, (price, size) in enumerate(wide)]
    rows, first, last, *sums = table.select(
        pl.len().alias("rows"), time.min().alias("first"), time.max().alias("last"), *products
    ).collect().row(0)
    return facts(types, rows, (first, last), sums)


def with_chdb(files):
    import chdb
    folder = os.path.commonpath([os.path.dirname(file) for file in files])
    names = [os.path.relpath(file, folder) for file in files]
    names = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
    table = f"file('{folder}/{names}', Parquet) SETTINGS use_hive_partitioning = 0, schema_inference_make_columns_nullable = 1"
    ask = lambda sql: json.loads(str(chdb.query(sql, "JSONCompact")))["data"]
    types = {name: kind for name, kind, *_ in ask(f"DESCRIBE {table}")}
    when, pairs = plan(types)
    ns = f"toUnixTimestamp64Nano(assumeNotNull({when}))" if when == "ts" else when
    columns = ["count()", f"min({ns})", f"max({ns})"] if when else ["count()", "NULL", "NULL"]
    columns += [f"toString(sum(toDecimal128({price}, 4) * toDecimal128({size}, 2)))" for price, size in pairs]
    rows, first, last, *sums = ask(f"SELECT {', '.join(columns)} FROM {table}")[0]
    number = lambda value: None if value is None else int(value)
    return facts(types, int(rows), (number(first), number(last)), sums)


def with_spark(files):
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "2g")
        .config("spark.log.level", "ERROR")
        # Spark's own timestamps end at microseconds.
        .config("spark.sql.legacy.parquet.nanosAsLong", "true")
        .getOrCreate()
    )
    table = spark.read.parquet(*files)
    types = dict(table.dtypes)
    when, pairs = plan(types)
    time = f.col(when) if when else f.lit(None)
    sums = [f.sum(f.col(price) * f.col(size)) for price, size in pairs]
    rows, first, last, *sums = table.agg(f.count(f.lit(1)), f.min(time), f.max(time), *sums).first()
    return facts(types, rows, (first, last), sums)


ENGINES = {"duckdb": with_duckdb, "pyarrow": with_pyarrow, "pandas": with_pandas, "polars": with_polars,
           "chdb": with_chdb, "pyspark": with_spark}


def tables(arguments):
    """Each table with its files: what the lake's manifest names, and all of an export."""
    found = {}
    if arguments.lake:
        for part in json.loads((arguments.lake / "manifest.json").read_text())["parts"]:
            found.setdefault(f"lake {part['table']}", []).append(str(arguments.lake / part["path"]))
    if arguments.export:
        for file in sorted(arguments.export.rglob("*.parquet")):
            found.setdefault(f"export {file.relative_to(arguments.export).parts[0]}", []).append(str(file))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, help="the folder `lake` of a log folder")
    parser.add_argument("--export", type=Path, help="a folder that `kalshi export-parquet --all` has written")
    parser.add_argument("--without", nargs="*", default=[], choices=ENGINES, help="engines to leave out")
    arguments = parser.parse_args()
    found = tables(arguments)
    if not found:
        parser.error("there is nothing to read: give --lake or --export")
    engines = []
    for name in ENGINES:
        if name in arguments.without or importlib.util.find_spec(name) is None:
            print(f"skipped: {name}")
        else:
            engines.append(name)
    differences, spent = [], dict.fromkeys(engines, 0.0)
    print(f"{'table':<22}{'files':>6}{'rows':>12}  {'first ns':<20}{'last ns':<20}sums of price x size")
    for table, files in found.items():
        read = {}
        for engine in engines:
            start = time.perf_counter()
            read[engine] = ENGINES[engine](files)
            spent[engine] += time.perf_counter() - start
        first, told = next(iter(read.items()))
        times = [str(time) for time in told["times"]] or ["-", "-"]
        sums = ", ".join(f"{value:f}" for value in told["sums"])
        print(f"{table:<22}{len(files):>6}{told['rows']:>12}  {times[0]:<20}{times[1]:<20}{sums}")
        for engine, other in read.items():
            for what in ("rows", "times", "sums"):
                if other[what] != told[what]:
                    differences.append(f"{table}: {what} by {engine} {other[what]}, by {first} {told[what]}")
            if other["types"].keys() != told["types"].keys():
                differences.append(f"{table}: columns by {engine} {list(other['types'])}")
            for name, kind in other["types"].items():
                if not right(name, kind):
                    differences.append(f"{table}.{name} is {kind} to {engine}")
    print("seconds: " + ", ".join(f"{engine} {seconds:.1f}" for engine, seconds in spent.items()))
    print("\n".join(differences) or f"{len(found)} tables are the same to {len(engines)} engines")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
