#!/usr/bin/env bash
# Builds the library, its tests and its doc tests for Windows, and runs them under Wine.
#
# Where rustup's x86_64-pc-windows-gnu target is installed it is used. Otherwise std is built from source by
# Debian's Rust, for the win7 target: newer ones need a DLL that Wine 8 lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

# Tests that Linux runs and Wine cannot, each with its reason. A name here that passes under Wine is a failure.
not_under_wine=(
)

need wine64 wine gcc-mingw-w64-x86-64
# Without winedbg a process that faults ends as it does on Windows, with the code of the exception.
export WINEDEBUG=-all WINEPREFIX="$PWD/target/wine" WINEDLLOVERRIDES=winedbg.exe=d
wine=/usr/lib/wine/wine64
[ -x "$wine" ] || wine=$(command -v wine64 || command -v wine)

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

# The first start of Wine fills its prefix; without this each of the first tests would.
mkdir -p target
timeout 300 "$wine" cmd /c exit

skips=()
for test in "${not_under_wine[@]}"; do skips+=(--skip "$test"); done
"${cargo[@]}" test "${flags[@]}" --target "$target" "$@" -- "${skips[@]}"
# "${cargo[@]}" run "${flags[@]}" --target "$target" --release --example tour
