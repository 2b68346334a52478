#!/usr/bin/env bash
# Runs the fuzz target on its corpus and on what the fuzzer makes of it: `scripts/fuzz.sh [SECONDS]`. A stable compiler is
# told to accept the unstable flags.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

need g++
if ! command -v cargo-fuzz >/dev/null; then
    cargo install --quiet --locked --root target/tools cargo-fuzz
    export PATH="$PWD/target/tools/bin:$PATH"
fi
export RUSTC_BOOTSTRAP=1
mkdir -p target/fuzz-corpus
# New finds go to the first folder; `cargo fuzz cmin` brings what is worth keeping into the second.
cargo fuzz run --fuzz-dir fuzz --target-dir target/fuzz -O -a api target/fuzz-corpus fuzz/corpus/api -- \
    -max_len=4096 -len_control=0 -max_total_time="${1:-60}" -print_final_stats=1
