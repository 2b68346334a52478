#!/usr/bin/env bash
# Measures whole programs on this arena and on bumpalo: the JSON reader of the example, and a JavaScript parser whose tree
# lives in bumpalo, unchanged, once with the crate `bumpalo` and once with one of that name over this arena. Writes
# benches/report/programs.md and programs.json, or into another folder.
#
#   scripts/bench-programs.sh [rounds, 11 unless told] [folder]
#
# Building takes two minutes the first time, fetching the input some seconds, measuring one. Needs npm and Linux.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-11}
out=${2:-benches/report}

json=$(scripts/fetch-json.sh)
javascript=$(scripts/fetch-javascript.sh)
export CARGO_TARGET_DIR=$PWD/target/programs
for folder in benches/json benches/parser benches/parser/patched; do
    echo "building $folder" >&2
    cargo build --quiet --release --locked --workspace --bins --manifest-path "$folder/Cargo.toml"
done
"$CARGO_TARGET_DIR/release/compare" "$CARGO_TARGET_DIR/release" "$json" "$javascript" "$out" "$rounds"
