# Sourced by the scripts that run the tests under a checker: tests that cannot pass there are listed, each with its reason.

# with_listed LISTED_NAME COMMAND...: runs the tests by COMMAND without those listed; then each of those alone, which
# must fail: a listed test that passes is to be taken off the list.
with_listed() {
    local -n listed=$1
    shift
    local skips=() test
    for test in "${listed[@]}"; do skips+=(--skip "$test"); done
    "$@" -- "${skips[@]}" || return 1
    for test in "${listed[@]}"; do
        echo "== $test must fail here"
        if "$@" --tests -- --exact "$test" >target/listed.txt 2>&1; then
            grep -q " 1 passed" target/listed.txt && echo "$test passes: take it off the list" || echo "there is no test $test"
            return 1
        fi
    done
}
