#!/usr/bin/env bash
# Runs the tests and doc tests on memory from the global allocator (src/os/heap.rs), which stands in for virtual memory
# under interpreters: whatever is not about pages holds there too.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/listed.sh

# Files that are about what pages may be used for, where they lie, what they cost, or what is executed: on the heap nothing
# is forbidden, and nothing is given back.
about_pages=(crashes examples huge_pages jit limits linux_limits memory protection protection_table secrets)
# A file that is about the compiler.
about_pages+=(compile_fail)

not_on_the_heap=(
    # No address can be chosen.
    faults::tests::a_search_nearby_goes_on_below_places_that_are_too_high
    faults::tests::a_search_nearby_that_meets_only_refusals_says_what_they_were
    faults::tests::whichever_request_is_refused_once_an_error_names_it_and_nothing_is_lost
    faults::tests::when_everything_is_refused_from_some_request_on_nothing_is_lost
    the_report_says_what_was_granted
    a_kept_range_is_not_in_the_way_of_an_arena_that_wants_its_place
    the_corpus_of_options_still_holds
    what_a_builder_is_asked_for_is_had_or_refused_with_its_cause
    places::nothing_is_placed_right_below_a_stack
    places::near_a_stack_is_not_in_its_way
    places::places_near_a_stack_are_the_same_while_other_threads_ask_for_some
    places::a_place_that_no_process_may_have_is_not_taken_for_one_in_use
    # Nothing can be locked.
    faults::tests::discarding_and_locking_fulfil_their_contract
    faults::tests::pages_that_stay_are_locked_again_whichever_request_was_refused
    an_arena_with_an_option_neither_takes_nor_leaves_a_range
    # 64 GiB are memory here, and are not asked for.
    faults::tests::filling_an_arena_asks_the_system_rarely
    faults::tests::growing_halves_until_the_system_grants
    # The reservation is the heap's too, and its refusal the system's.
    a_heap_that_refuses_is_an_error_and_nothing_is_left_behind
    # Nothing that is reserved is refused later.
    what_the_system_refuses_now_and_grants_later_is_lost_to_nobody
    # Memory is used by what is committed, and not given back to the system.
    a_kept_range_holds_little_and_nothing_behind_can_be_touched
    zero::memory_that_was_never_used_is_not_touched
    a_freed_range_is_gone
    # Every page can be written, and none executed.
    a_seal_is_exact_to_the_page_and_covers_everything_handed_out
    a_write_to_what_is_sealed_is_fatal
    a_write_right_behind_the_pages_of_what_is_sealed_is_fatal
    a_tree_is_sealed_with_its_root_and_read_by_many_threads_at_once
    the_corpus_of_seals_still_holds
    what_was_sealed_is_what_was_written
    code_is_written_then_sealed_then_called_and_changed_and_called_again
    sealed_code_is_called_by_a_thread_that_was_running_before
)

# Examples in the documentation, by what they document, up to the line.
docs_not_on_the_heap=(
    # An address is chosen; 64 GiB are asked for; memory is locked; huge pages are required.
    "builder::Builder::near ("
    "builder::Builder::size ("
    "README.md"
    "builder::Builder::huge_pages ("
    # Code is called.
    "seal::function::Function ("
    "seal::function::Function<'_,F>::pointer ("
    "seal::function::Sealed::function ("
)

ours_with heap --cfg mallocator_heap
# With some optimisation, checks of debug builds and all.
cargo=(cargo --config 'profile.dev.package.mallocator.opt-level=1')
tests_but "${about_pages[@]}"
with_listed not_on_the_heap "${cargo[@]}" test --no-fail-fast --lib "${files[@]}"

skips=()
for name in "${docs_not_on_the_heap[@]}"; do skips+=(--skip "$name"); done
"${cargo[@]}" test --doc -- "${skips[@]}"
"${cargo[@]}" test --doc -- "${docs_not_on_the_heap[@]}" >target/listed.txt 2>&1 || true
for name in "${docs_not_on_the_heap[@]}"; do
    grep -F "$name" target/listed.txt | grep -q 'FAILED$' || { echo "no example of $name fails: take it off the list" >&2; exit 1; }
done
