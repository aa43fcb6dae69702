"""Books to best bid and ask with dictionaries: messages, and the seconds without reading them.

python3 replay_python.py FOLDER
"""

import json
import sys
import time
from pathlib import Path

MESSAGES = 200_000


def read(folder):
    for path in sorted(Path(folder).rglob("*.jsonl")):
        with open(path) as lines:
            for line in lines:
                frame = json.loads(line).get("frame", {})
                if frame.get("type", "").startswith("orderbook"):
                    yield frame["type"], frame["msg"]


messages = [message for message, _ in zip(read(sys.argv[1]), range(MESSAGES))]
start = time.perf_counter()
books, quotes, count = {}, {}, 0
for kind, msg in messages:
    ticker = msg["market_ticker"]
    if kind == "orderbook_snapshot":
        books[ticker] = book = {"yes": {}, "no": {}}
        for side, ladder in book.items():
            ladder.update((price, float(size)) for price, size in msg.get(side + "_dollars_fp", ()))
        quote = [max(ladder, default="") for ladder in book.values()]
    else:
        book, quote = books[ticker], list(quotes[ticker][0])
        side = msg["side"]
        ladder, price, n = book[side], msg["price_dollars"], int(side == "no")
        size = round(ladder.get(price, 0.0) + float(msg["delta_fp"]), 2)
        if size:
            ladder[price] = size
            quote[n] = max(quote[n], price)
        else:
            del ladder[price]
            if price == quote[n]:
                quote[n] = max(ladder, default="")
    now = quote, [ladder.get(best) for ladder, best in zip(book.values(), quote)]
    if quotes.get(ticker) != now:
        quotes[ticker] = now
        count += 1
print(len(messages), time.perf_counter() - start)
