#!/usr/bin/env bash
# The main job without an account: record, prove, rebuild a book, export. Everything lands in one
# folder that can be deleted.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-demo}
seconds=${DEMO_SECONDS:-8}
market=$(grep -v '^#' tickers.txt | grep -m1 .)
program=$PWD/target/release/kalshi
marker=.made-by-kalshi-demo

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }
run() {
  echo "\$ kalshi $*"
  "$program" "$@"
}

# Only what an earlier demo made is removed.
if [ -e "$folder" ] && [ ! -f "$folder/$marker" ]; then
  echo "error: \`$folder\` was not made by the demo; it is left alone" >&2
  echo "hint: name a folder that is not there yet: make demo DEMO=FOLDER" >&2
  exit 2
fi
if [ "${2:-}" = --clean ]; then
  rm -rf -- "$folder"
  exit
fi

say "Building (the first time takes some minutes)"
"${CARGO:-cargo}" build --release
rm -rf -- "$folder"
mkdir -p -- "$folder"
touch -- "$folder/$marker"
# The settings of this machine are not the demo's: none from the environment, and the empty `.env`
# is found before any other.
for name in ${!KALSHI_*}; do unset "$name"; done
unset RUST_LOG
cp tickers.txt "$folder/"
: > "$folder/.env"
cd -- "$folder"

say "1. Record $seconds s of a synthetic exchange over a real, signed WebSocket"
run ingest --tickers-file tickers.txt --env sandbox --duration "${seconds}s" --log-dir logs

say "2. Prove the recording: digests, counts, sequence numbers"
run verify logs --format table

say "3. The order book of $market at the last moment"
run analyze book "$market" --depth 5 --log-dir logs --format table

say "4. Export its order-book events for pandas, Polars or R"
run export-parquet "$market" "$market.parquet" --log-dir logs --force

say "5. Any question in SQL"
run analyze sql "SELECT ticker, count(*) AS trades, sum(size) AS contracts, avg(price) AS mean_price
  FROM trades GROUP BY ticker ORDER BY trades DESC LIMIT 5" --log-dir logs --format table

say "The files in $PWD"
{ find . -path '*/lake' -prune -o -type f ! -name '.*' -print; find . -type d -name lake; } | sort | while read -r file; do
  printf '  %8s  %s\n' "$(du -sh "$file" | cut -f1)" "${file#./}"
done
cat <<END

Next, with your own key (see .env.example):
  cat tickers.txt | ./target/release/kalshi ingest
END
