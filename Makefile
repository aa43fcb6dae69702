# make setup   fetch the DuckDB library            make demo   the whole thing, without an account
# make test    every test                          make ci     what has to pass before anything lands

.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint ci bench clean

# The library's folder is .cargo/config.toml's business; a DUCKDB_LIB_DIR from outside wins.
CARGO ?= cargo
DEMO := demo

help:
	@sed -n 's/^# //p' Makefile

setup:
	@scripts/setup.sh

build: setup
	$(CARGO) build --release

demo: setup
	@scripts/demo.sh '$(DEMO)'

test: setup
	$(CARGO) test --release --all-targets
	$(CARGO) test --release --doc

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --all-targets -- -D warnings
	$(CARGO) clippy --release --no-default-features --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --no-deps --document-private-items

ci: lint test

clean:
	@scripts/demo.sh '$(DEMO)' --clean
	rm -rf target
