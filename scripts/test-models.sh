#!/usr/bin/env bash
# Runs the models of an arena that threads share (src/arena/shared/models.rs): in every order of events within a bound, by
# loom, and with more threads in some orders, by shuttle. Says how many orders were tried.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/listed.sh

export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=target/models
mkdir -p target/models
for checker in loom shuttle; do
    echo "== $checker"
    ours_with "$checker" --cfg "mallocator_$checker"
    log=target/models/$checker.txt
    # A checker says much where a test is meant to fail.
    RUST_BACKTRACE=0 cargo test --locked --manifest-path tests/models/Cargo.toml models:: -- --nocapture >"$log" 2>&1 ||
        { cat "$log" >&2; exit 1; }
    grep -E ' orders, |^test result' "$log"
    # A name that fits no test would be a success.
    grep -qE '^test result: ok\. [1-9][0-9]+ passed' "$log"
done
