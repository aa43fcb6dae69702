#!/usr/bin/env bash
# The main job without an account: record, prove, rebuild a book, export. Everything lands in one
# folder that can be deleted.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-demo}
seconds=${DEMO_SECONDS:-8}
market=$(grep -v '^#' tickers.txt | grep -m1 .)

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }
run() {
  echo "\$ kalshi $*"
  ./target/release/kalshi "$@"
}

say "Building (the first time takes some minutes)"
"${CARGO:-cargo}" build --release
rm -rf "$folder"
mkdir -p "$folder"

say "1. Record $seconds s of a synthetic exchange over a real, signed WebSocket"
run ingest --tickers-file tickers.txt --env sandbox --duration "${seconds}s" --log-dir "$folder/logs"

say "2. Prove the recording: digests, counts, sequence numbers"
run verify "$folder/logs"

say "3. The order book of $market at the last moment"
run analyze book "$market" --depth 5 --log-dir "$folder/logs" --format table

say "4. Export its order-book events for pandas, Polars or R"
run export-parquet "$market" "$folder/$market.parquet" --log-dir "$folder/logs" --force

say "5. Any question in SQL"
run analyze sql "SELECT ticker, count(*) AS trades, sum(size) AS contracts, avg(price) AS mean_price
  FROM trades GROUP BY ticker ORDER BY trades DESC LIMIT 5" --log-dir "$folder/logs" --format table

say "The files"
find "$folder" -type f | sort | while read -r file; do
  printf '  %8s  %s\n' "$(du -h "$file" | cut -f1)" "$file"
done
cat <<END

Next, with your own key (see .env.example):
  cat tickers.txt | ./target/release/kalshi ingest
END
