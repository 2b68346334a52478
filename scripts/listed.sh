# Sourced by the scripts that run the tests under a checker: tests that cannot pass there are listed, each with its reason.

# ours_with NAME FLAG...: from here on the crates of this workspace are compiled with these flags, which may be unstable, and
# their documentation too. All others are the same as without, and are not built again.
ours_with() {
    local folder=$PWD/target/rustc/$1
    shift
    mkdir -p "$folder"
    printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec "$@" %s\n' "$*" >"$folder/rustc"
    printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n' >"$folder/rustdoc"
    chmod +x "$folder"/rust*
    export RUSTC_WORKSPACE_WRAPPER=$folder/rustc RUSTDOC=$folder/rustdoc RUSTDOCFLAGS="$*"
}

# tests_but NAME...: all files of tests but these, as arguments for `cargo test` in `files`.
tests_but() {
    local file name
    files=()
    for file in tests/*.rs tests/*/main.rs; do
        name=$(basename "${file%/main.rs}" .rs)
        [[ " $* " == *" $name "* ]] || files+=(--test "$name")
    done
}

# with_listed LISTED_NAME COMMAND...: runs the tests by COMMAND without those listed; then those, each of which must fail:
# a listed test that passes is to be taken off the list.
with_listed() {
    local -n listed=$1
    shift
    local skips=() alone=() test log wrong=0
    for test in "${listed[@]}"; do skips+=(--skip "$test"); done
    "$@" -- "${skips[@]}" || return 1
    log=$(mktemp)
    echo "== these must fail here: ${listed[*]}"
    # All at once; then by itself what was not said to fail, as a test that ends its process takes others along.
    "$@" -- --exact "${listed[@]}" >"$log" 2>&1 || true
    for test in "${listed[@]}"; do
        grep -q "^test $test .*FAILED$" "$log" || alone+=("$test")
    done
    for test in "${alone[@]}"; do
        if "$@" -- --exact "$test" >"$log" 2>&1; then
            grep -q " 1 passed" "$log" && echo "$test passes: take it off the list" || echo "there is no test $test"
            wrong=1
        fi
    done
    rm "$log"
    return "$wrong"
}
