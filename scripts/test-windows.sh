#!/usr/bin/env bash
# Builds the library, its tests, its doc tests, the tour and the compiler for Windows, and runs them under Wine.
#
# Where rustup's x86_64-pc-windows-gnu target is installed it is used. Otherwise std is built from source by Debian's Rust,
# for the win7 target: newer ones need a DLL that Wine 8 lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

# Tests that Linux has and Wine has not, each with its reason. Any other that is missing is a failure, and so is a name
# here that Wine does have.
not_under_wine=(
    # Windows has no RLIMIT_AS and no RLIMIT_DATA.
    a_limit_on_the_address_space_is_named_and_what_fits_is_granted
    a_commit_that_is_refused_leaves_the_arena_as_it_was
    what_the_system_refuses_now_and_grants_later_is_lost_to_nobody
    # It starts cargo, which Wine has not.
    mistakes_do_not_compile
    # Linux has the pool of huge pages, and the file that says what is on them.
    required_ones_come_from_the_pool_and_go_back_to_it
    os::platform::huge::tests::the_huge_pages_of_the_mappings_in_a_range_are_counted
    # The file that says what advice a mapping has is Linux's.
    faults::advice_for_huge_pages_stays_within_the_reservation
    # Mappings are Linux's, and so is the limit on them.
    an_arena_is_three_mappings_at_most
    too_many_mappings_refuse_a_change_by_name_and_change_nothing
    # The gap below a stack is the kernel's, and so are addresses that it gives nobody.
    places::nothing_is_placed_right_below_a_stack
    places::near_a_stack_is_not_in_its_way
    places::places_near_a_stack_are_the_same_while_other_threads_ask_for_some
    places::a_place_that_no_process_may_have_is_not_taken_for_one_in_use
    # There is no fork.
    os::platform::lineage::tests::a_process_has_one_token_however_many_threads_ask_first
    os::platform::lineage::tests::every_generation_has_a_token_of_its_own
    os::platform::lineage::tests::without_such_a_page_the_number_of_the_process_is_what_there_is
    # Control groups and strict accounting are Linux's.
    what_a_control_group_has_not_is_granted_and_kills_at_the_touch
    what_stays_below_the_limit_of_a_control_group_is_fine
    required_huge_pages_are_no_memory_of_a_control_group
    strict_accounting_refuses_a_commit_by_name_and_no_reservation
)

need wine wine64 gcc-mingw-w64-x86-64
# Without winedbg a process that faults ends as it does on Windows, with the code of the exception.
export WINEDEBUG=-all WINEPREFIX="$PWD/target/wine" WINEDLLOVERRIDES=winedbg.exe=d
wine=/usr/lib/wine/wine64
[ -x "$wine" ] || wine=$(command -v wine64 || command -v wine)

names() { sed -n 's/: test$//p' | sort; }
on_linux=$(cargo test --quiet -- --list | names)

if rustup target list --installed 2>/dev/null | grep -qx x86_64-pc-windows-gnu; then
    target=x86_64-pc-windows-gnu
    cargo=(cargo)
    flags=()
else
    need rustc-web rust-web-src cargo-web
    target=x86_64-win7-windows-gnu
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
    cargo=(/usr/bin/cargo)
    flags=(-Zbuild-std)
fi
variable=$(tr 'a-z-' 'A-Z_' <<<"$target")
export "CARGO_TARGET_${variable}_LINKER=x86_64-w64-mingw32-gcc" "CARGO_TARGET_${variable}_RUNNER=$wine"
export CARGO_TARGET_DIR=target/windows
# Ours with some optimisation, checks of debug builds and all: all sequences of four calls, with each refusal, are many.
cargo+=(--config 'profile.dev.package.mallocator.opt-level=1')

# Wine's server stays when no program is left: one that ends as the next program starts resets the connection.
server=/usr/lib/wine/wineserver64
[ -x "$server" ] || server=$(command -v wineserver)
mkdir -p "$WINEPREFIX"
"$server" -k -w || true
"$server" -p >/dev/null 2>&1
trap '"$server" -k || true' EXIT
# The first start of Wine fills its prefix; without this each of the first tests would.
timeout 300 "$wine" cmd /c exit

MALLOCATOR_DEPTH=4 "${cargo[@]}" test "${flags[@]}" --target "$target"
"${cargo[@]}" run "${flags[@]}" --target "$target" --example tour
"${cargo[@]}" run "${flags[@]}" --target "$target" --example jit

on_wine=$("${cargo[@]}" test --quiet "${flags[@]}" --target "$target" -- --list | tr -d '\r' | names)
missing=$(comm -23 <(echo "$on_linux") <(echo "$on_wine"))
expected=$(printf '%s\n' "${not_under_wine[@]}" | sort)
if [ "$missing" != "$expected" ]; then
    echo "tests that Linux has and Wine has not:" "$missing" "but the list in this script is:" "$expected" >&2
    exit 1
fi
echo "under Wine: $(wc -l <<<"$on_wine") tests; on Linux: $(wc -l <<<"$on_linux"); known to differ: ${#not_under_wine[@]}"
