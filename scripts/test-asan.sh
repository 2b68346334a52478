#!/usr/bin/env bash
# Runs the tests and doc tests under AddressSanitizer. A stable compiler is told to accept the unstable flag; crates of others
# are not built with it.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/listed.sh

not_under_asan=(
    # The sanitizer itself needs terabytes of address space, and data that the limit does not leave it.
    a_limit_on_the_address_space_is_named_and_what_fits_is_granted
    a_commit_that_is_refused_leaves_the_arena_as_it_was
    what_the_system_refuses_now_and_grants_later_is_lost_to_nobody
    # They measure the process, and the sanitizer keeps shadow memory and freed blocks.
    reserving_64_gib_costs_under_1_mib
    ten_thousand_arenas_are_made_and_dropped_without_a_trace
    an_arena_costs_little_more_than_it_holds
)

# Leaks are not errors: tests forget things on purpose.
export ASAN_OPTIONS=detect_leaks=0
ours_with asan -Zsanitizer=address
# What is about the compiler runs nothing.
tests_but compile_fail
with_listed not_under_asan cargo test --no-fail-fast --lib "${files[@]}"
cargo test --no-fail-fast --doc

# With the feature that hides what is not handed out: the crimes that must be seen, and tests that do not count bytes, none
# of which may be reported. Values lie apart there, so tests of exact places do not hold.
unseen=(checkers original collections bumpalo json crashes protection examples driven)
names=()
for test in "${unseen[@]}"; do names+=(--test "$test"); done
cargo test --no-fail-fast --features asan "${names[@]}" -- \
    --skip text_is_written_as --skip the_corpus_of_text --skip the_corpus_of_options --skip what_a_builder_is_asked_for
