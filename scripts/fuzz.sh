#!/usr/bin/env bash
# Runs the fuzz targets, each on its corpus and on what the fuzzer makes of it: `scripts/fuzz.sh [SECONDS]`. The target of
# the whole API gets half of the time; that of several threads makes the same calls, and has its corpus. A stable compiler is
# told to accept the unstable flags.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

need g++
# From an earlier run, if there was one.
export PATH="$PWD/target/tools/bin:$PATH"
if ! command -v cargo-fuzz >/dev/null; then
    cargo install --quiet --locked --debug --root target/tools cargo-fuzz
fi
export RUSTC_BOOTSTRAP=1
seconds=${1:-60}
options=(--fuzz-dir fuzz --target-dir target/fuzz -O -a)
cargo fuzz build "${options[@]}"
for target in api shared text options seal; do
    if [ "$target" = api ]; then share=$((seconds / 2)); else share=$((seconds / 8)); fi
    corpus=$target
    if [ "$target" = shared ]; then corpus=api; fi
    echo "--- $target"
    # New finds go to the first folder; `cargo fuzz cmin` brings what is worth keeping into the second. No time at all would
    # be no limit.
    mkdir -p "target/fuzz-corpus/$target"
    cargo fuzz run "${options[@]}" "$target" "target/fuzz-corpus/$target" "fuzz/corpus/$corpus" -- \
        -max_len=4096 -len_control=0 -max_total_time="$((share > 0 ? share : 1))" -print_final_stats=1
done
