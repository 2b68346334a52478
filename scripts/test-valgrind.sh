#!/usr/bin/env bash
# Runs the tests under valgrind's memcheck, with optimisation, as they are slow there. Children of tests run without it.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh
source scripts/listed.sh

not_under_valgrind=(
    # valgrind refuses a size that no machine has itself, with another code than the kernel's.
    a_reservation_larger_than_the_address_space_is_refused_with_the_cause
    # It refuses 64 GiB too.
    faults::tests::filling_an_arena_asks_the_system_rarely
    faults::tests::a_search_nearby_goes_on_below_places_that_are_too_high
    # It has one code for every place that cannot be.
    places::a_place_that_no_process_may_have_is_not_taken_for_one_in_use
)

need valgrind
# Sequences of calls are as many as there is time for.
export MALLOCATOR_DEPTH=2 MALLOCATOR_STRESS=1
# What is about the compiler runs nothing.
tests_but compile_fail
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=9 --leak-check=no"
with_listed not_under_valgrind cargo test --release --no-fail-fast --lib "${files[@]}"

# The crimes that must be seen, with the feature that tells it what is handed out. The children run under it.
unset CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER
cargo test --release --features valgrind --test checkers
