#!/usr/bin/env bash
# Checks the platforms that are not at hand: the library compiles for macOS, FreeBSD and Android, and as the template of a
# new platform; it says clearly that it cannot for others, and its tests pass on aarch64 Linux, under qemu. std is built
# from source by Debian's Rust.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

need rustc-web rust-web-src cargo-web gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=target/platforms
cargo=/usr/bin/cargo

for target in aarch64-apple-darwin x86_64-unknown-freebsd aarch64-linux-android; do
    echo "== $target"
    $cargo check --quiet -Zbuild-std --target $target --lib
    rm -r "target/platforms/$target"
done

echo "== the template"
RUSTFLAGS="--cfg mallocator_template -D warnings" $cargo check --quiet --lib

# Neither Unix nor Windows; and Unix with 32 bits: one error each, and it says why.
for refusal in "wasm32-unknown-unknown 64-bit target" "wasm64-unknown-unknown Unix and Windows only" \
    "armv7-unknown-linux-gnueabihf 64-bit target"; do
    read -r target reason <<<"$refusal"
    echo "== $target is refused"
    if $cargo check --quiet -Zbuild-std=core,alloc,std,panic_abort --target "$target" --lib 2>target/refusal.txt; then
        echo "mallocator compiled for $target" >&2
        exit 1
    fi
    grep -qF "$reason" target/refusal.txt || { cat target/refusal.txt; exit 1; }
    rm -r "target/platforms/$target"
done

# Tests that pass on a processor and cannot under qemu, each with its reason.
not_under_qemu=(
    # qemu keeps data of its own for every page of the guest.
    reserving_64_gib_costs_under_1_mib
    a_search_nearby_goes_on_below_places_that_are_too_high
    ten_thousand_arenas_are_made_and_dropped_without_a_trace
    an_arena_costs_little_more_than_it_holds
    # Its /proc/self/maps joins neighbouring pages that differ for the guest only.
    protect_changes_whole_pages_and_says_what_they_were
    the_corpus_of_options_still_holds
    what_a_builder_is_asked_for_is_had_or_refused_with_its_cause
    # It does not pass on what it is told of dumps and forks.
    memory_is_left_out_of_dumps_from_end_to_end
    a_forked_process_finds_what_the_option_says
    every_generation_has_a_token_of_its_own
    # It places mappings itself, leaves no gap below a stack, and has one code for every place that cannot be.
    a_place_that_no_process_may_have_is_not_taken_for_one_in_use
    nothing_is_placed_right_below_a_stack
    near_a_stack_is_not_in_its_way
    places_near_a_stack_are_the_same_while_other_threads_ask_for_some
    # It gives ordinary pages for huge ones, and the pool stays as it is.
    required_ones_come_from_the_pool_and_go_back_to_it
    # It starts cargo for this system, not for the guest.
    mistakes_do_not_compile
    # It does not pass limits on to the guest.
    a_limit_on_the_address_space_is_named_and_what_fits_is_granted
    a_commit_that_is_refused_leaves_the_arena_as_it_was
    what_the_system_refuses_now_and_grants_later_is_lost_to_nobody
    # It takes the advice and does not pass it on.
    advice_for_huge_pages_stays_within_the_reservation
    # The address space of the process is the emulator's too.
    a_heap_that_refuses_is_an_error_and_nothing_is_left_behind
    # It has mappings of its own, and needs some for the guest's.
    too_many_mappings_refuse_a_change_by_name_and_change_nothing
    # It would be a member of the control group itself, and needs more.
    what_a_control_group_has_not_is_granted_and_kills_at_the_touch
    what_stays_below_the_limit_of_a_control_group_is_fine
)
skips=()
for test in "${not_under_qemu[@]}"; do skips+=(--skip "$test"); done
echo "== aarch64-unknown-linux-gnu, under qemu"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export MALLOCATOR_TEST_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$MALLOCATOR_TEST_RUNNER"
# With some optimisation, std too, checks of debug builds and all, as emulation is slow. Sequences of calls are as many as there
# is time for.
export CARGO_PROFILE_DEV_OPT_LEVEL=1 MALLOCATOR_DEPTH=2 MALLOCATOR_SEQUENCES=2000 MALLOCATOR_STRESS=1
$cargo test --no-fail-fast -Zbuild-std --target aarch64-unknown-linux-gnu "$@" -- "${skips[@]}"
