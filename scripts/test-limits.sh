#!/usr/bin/env bash
# Runs the tests of limits that Linux has for the machine and for control groups. Two of them change a setting for some
# milliseconds: strict accounting, with more room than any process asks for, and a pool of huge pages. What cannot be
# changed here is said, and not tested. The settings are restored whatever happens.
set -euo pipefail
cd "$(dirname "$0")/.."

settings=/proc/sys/vm
# A kernel need not have each of them.
get() { cat "$settings/$1" 2>/dev/null || true; }
policy=$(get overcommit_memory)
ratio=$(get overcommit_ratio)
kbytes=$(get overcommit_kbytes)
pool=$(get nr_overcommit_hugepages)

# put NAME VALUE: where it is another.
put() {
    [ "$(get "$1")" = "$2" ] || echo "$2" >"$settings/$1"
}

# Of ratio and kbytes the one that counts is not 0; writing it sets the other to 0.
restore() {
    put overcommit_memory "$policy"
    if [ "$kbytes" = 0 ]; then put overcommit_ratio "$ratio"; else put overcommit_kbytes "$kbytes"; fi
    put nr_overcommit_hugepages "$pool"
}
trap restore EXIT
trap 'exit 1' INT TERM HUP

# Built before, so that nothing but the tests happens meanwhile.
cargo test --quiet --test linux_limits --no-run
MALLOCATOR_TEST_MACHINE=1 cargo test --quiet --test linux_limits -- --nocapture --test-threads=1
