#!/usr/bin/env bash
# Counts the instructions that a caller of alloc(u64) and try_alloc(u64) runs when there is room: at most 7, with the
# store of the value. What a function of its own adds (saving registers, making room on the stack, returning) is not
# counted, as an inlined call has none of it. On x86-64 only.
set -euo pipefail
cd "$(dirname "$0")/.."
most=7

cargo rustc --quiet --release --example fast_path -- --emit asm -C codegen-units=1 -C debuginfo=0
assembly=$(ls -t target/release/examples/fast_path-*.s | head -n 1)
for probe in probe_alloc probe_try_alloc; do
    path=$(awk -v probe="$probe:" '
        $0 == probe { inside = 1; next }
        !inside || $1 ~ /^[.#]/ || /:$/ { next }
        { print }
        $1 ~ /^ret/ { exit }
    ' "$assembly")
    # Everything up to the first return is straight line but for the one branch to the slow path.
    counted=$(grep -vE '^\s*(push|pop|ret|(add|sub)q\s+\$[0-9]+, %rsp)' <<<"$path" || true)
    count=$(grep -c . <<<"$counted" || true)
    branches=$(grep -cE '^\s*j' <<<"$counted" || true)
    echo "$probe: $count instructions, $branches branch"
    if [ "$count" -gt $most ] || [ "$count" -lt 5 ] || [ "$branches" != 1 ] || grep -q call <<<"$counted"; then
        echo "expected at most $most, with one branch and no call:" >&2
        echo "$path" >&2
        exit 1
    fi
done
