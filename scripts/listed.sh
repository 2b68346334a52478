# Sourced by the scripts that run the tests under a checker: tests that cannot pass there are listed, each with its reason.

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
    local skips=() alone=() test wrong=0
    for test in "${listed[@]}"; do skips+=(--skip "$test"); done
    "$@" -- "${skips[@]}" || return 1
    echo "== these must fail here: ${listed[*]}"
    # All at once; then by itself what was not said to fail, as a test that ends its process takes others along.
    "$@" -- --exact "${listed[@]}" >target/listed.txt 2>&1 || true
    for test in "${listed[@]}"; do
        grep -q "^test $test .*FAILED$" target/listed.txt || alone+=("$test")
    done
    for test in "${alone[@]}"; do
        if "$@" -- --exact "$test" >target/listed.txt 2>&1; then
            grep -q " 1 passed" target/listed.txt && echo "$test passes: take it off the list" || echo "there is no test $test"
            wrong=1
        fi
    done
    return "$wrong"
}
