#!/usr/bin/env bash
# Puts the DuckDB library where cargo looks for it: vendor/duckdb/.
# In this order: DUCKDB_LIB_DIR, an installed library of the pinned version, the npm package in
# which DuckDB publishes its library for every platform, checked against a pinned digest.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.5.5
package_version=1.5.5-r.5
folder=vendor/duckdb

case "$(uname -s)" in
  Darwin) os=darwin library=libduckdb.dylib ;;
  Linux) os=linux library=libduckdb.so ;;
  *) os=unknown library=libduckdb ;;
esac
case "$(uname -m)" in
  x86_64 | amd64) arch=x64 ;;
  arm64 | aarch64) arch=arm64 ;;
  *) arch=unknown ;;
esac
case "$os-$arch" in
  linux-x64) digest=86d2bda909785550e8a14a57a8a4584827aff0e268d8f1a58c3fd48559f7020e ;;
  linux-arm64) digest=3b85f3ea438f7dc3691d7b5e6e4222ffe9127fd17885f96ca72e0c99925c348e ;;
  darwin-arm64) digest=08b3cfd7d4d620a5fb67ef49db28551b767107266af3a8e2600e49d99ee59456 ;;
  darwin-x64) digest=1266f62ac7c02f7971554a2b0b2c4c19923a97258bfdf1b203873e174e7a28c4 ;;
  *) digest= ;;
esac

give_up() {
  {
    echo "setup: $1"
    echo "hint: one of these works without it:"
    echo "  DUCKDB_LIB_DIR=/folder/of/$library make setup   # DuckDB $version from anywhere"
    echo "  brew install duckdb                          # where that is version $version"
    echo "  cargo build --release --features bundled     # compiles DuckDB in: long, but needs nothing"
    echo "  cargo build --release --no-default-features  # the recorder alone, without DuckDB"
  } >&2
  exit 1
}

is_pinned_version() { [ -f "$1" ] && LC_ALL=C grep -aq "v${version//./\\.}" "$1"; }

use() { # the library $1, found by way of $2
  mkdir -p "$folder"
  cp -f "$1" "$folder/$library.tmp"
  mv -f "$folder/$library.tmp" "$folder/$library"
  echo "setup: DuckDB $version from $2 is in $folder/"
  exit 0
}

# The .cargo/config.toml default points into vendor/, so only a folder elsewhere counts as given.
if [ -n "${DUCKDB_LIB_DIR:-}" ] && [ "$(cd "$DUCKDB_LIB_DIR" 2>/dev/null && pwd)" != "$PWD/$folder" ]; then
  is_pinned_version "$DUCKDB_LIB_DIR/$library" ||
    give_up "DUCKDB_LIB_DIR has no $library of version $version"
  use "$DUCKDB_LIB_DIR/$library" "DUCKDB_LIB_DIR"
fi

if is_pinned_version "$folder/$library"; then
  echo "setup: DuckDB $version is in $folder/ already"
  exit 0
fi

for place in "$(brew --prefix duckdb 2>/dev/null || true)/lib" /opt/homebrew/lib /usr/local/lib /usr/lib "/usr/lib/$(uname -m)-linux-gnu"; do
  if is_pinned_version "$place/$library"; then use "$place/$library" "$place"; fi
done

[ -n "$digest" ] || give_up "DuckDB publishes no library for $(uname -s) $(uname -m)"
command -v npm >/dev/null || give_up "npm is not installed; it is needed to fetch DuckDB's library (70 MB)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
package="@duckdb/node-bindings-$os-$arch@$package_version"
echo "setup: fetching $package"
fetched=
for attempt in 1 2 3; do
  if (cd "$work" && npm pack --silent "$package" >/dev/null); then fetched=yes && break; fi
  echo "setup: attempt $attempt failed" >&2
  sleep $((attempt * 2))
done
[ -n "$fetched" ] || give_up "npm could not fetch $package"
archive=$(echo "$work"/*.tgz)
found=$( (sha256sum "$archive" 2>/dev/null || shasum -a 256 "$archive") | cut -d' ' -f1)
[ "$found" = "$digest" ] || give_up "the package's SHA-256 is $found, not the pinned $digest"
tar -xzf "$archive" -C "$work" "package/$library"
use "$work/package/$library" "npm"
