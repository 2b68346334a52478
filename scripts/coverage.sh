#!/usr/bin/env bash
# Prints which share of the library's lines the corpora of the fuzz targets run: `scripts/coverage.sh`.
# Needs llvm-profdata and llvm-cov of the compiler's LLVM (`rustc -vV` names the version).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
need "llvm-$llvm"
export RUSTFLAGS=-Cinstrument-coverage CARGO_TARGET_DIR=target/coverage
rm -rf target/coverage/profiles
export LLVM_PROFILE_FILE="$PWD/target/coverage/profiles/%p-%m.profraw"
program=$(cargo test --quiet --test driven --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*driven[^"]*\)".*/\1/p')
"$program" the_corpus
"llvm-profdata-$llvm" merge -sparse target/coverage/profiles/*.profraw -o target/coverage/merged.profdata
"llvm-cov-$llvm" report "$program" --instr-profile=target/coverage/merged.profdata --show-region-summary=false \
    --show-branch-summary=false --ignore-filename-regex='(\.cargo|rustc|tests|fuzz|library)/'
