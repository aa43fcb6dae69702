#!/usr/bin/env bash
# Looks for inputs that break what must always hold, for so many seconds each (default 600), and
# keeps the ones that taught it something in fuzz/corpus, as few and as short as will do.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]        needs a nightly compiler and cargo-fuzz
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${1:-600}
shift || true
targets=${*:-$(cargo +nightly fuzz list)}
# The file system costs more than all the rest.
[ -d /dev/shm ] && export TMPDIR=/dev/shm
cargo +nightly fuzz build
for target in $targets; do
  found=$(mktemp -d)
  echo "== $target, ${seconds} s" >&2
  # What broke is in fuzz/artifacts; the other targets are still run.
  cargo +nightly fuzz run "$target" "$found" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=20 -print_final_stats=1 || failed=1
  cargo +nightly fuzz run "$target" "corpus/$target" "$found" -- -set_cover_merge=1 || failed=1
  rm -rf "$found"
done
exit "${failed:-0}"
