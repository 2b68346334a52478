#!/usr/bin/env bash
# Counts the instructions of Mallocator's hot operations under valgrind and compares them with benches/instructions.tsv: more
# than 5 % above what is written there fails, and so does a name that is on one side only.
# `scripts/check-instructions.sh --update` writes the counts down instead. Prints the peers' counts beside Mallocator's.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

case "${1:-}" in
    "" | --update) ;;
    *) echo "usage: scripts/check-instructions.sh [--update]" >&2; exit 2 ;;
esac
# A C++ compiler and cmake build the general allocators, which are in the same crate; libc6-dbg is what valgrind needs.
need valgrind libc6-dbg cmake g++
runner=target/tools/bin/gungraun-runner
version=0.20.0
[ "$("$runner" --version 2>/dev/null | awk '{ print $NF }')" = $version ] ||
    cargo install --quiet --locked --debug --root target/tools gungraun-runner --version $version
export GUNGRAUN_RUNNER="$PWD/$runner"

# Without earlier results the runner has nothing to compare with, and each count is one number.
rm -rf target/gungraun
counts=target/instructions.tsv
cargo bench --quiet -p mallocator-bench --bench instructions -- --output-format=json |
    sed -n 's/.*"function_name":"\([^"]*\)".*"id":"\([^"]*\)".*"total":.*"Ir":{"values":{"new":\([0-9]*\)}}.*/\1\t\2\t\3/p' >$counts
[ -s $counts ] || { echo "the runner printed no counts" >&2; exit 1; }

baseline=benches/instructions.tsv
if [ "${1:-}" = --update ]; then
    {
        printf '# Instructions of 1000 operations each (16 for 64 KiB blocks): scripts/check-instructions.sh --update writes them.\n'
        awk -F '\t' -v OFS='\t' '$2 == "mallocator" { print $1, $3 }' $counts | sort
    } >$baseline
fi
[ -e $baseline ] || { echo "there is no $baseline: run scripts/check-instructions.sh --update" >&2; exit 1; }

awk -F '\t' '
    FNR == NR { if ($0 !~ /^#/) { written[$1] = $2; missing[$1] = 1 } next }
    { count[$1, $2] = $3 }
    $2 == "mallocator" { names[++last] = $1; delete missing[$1] }
    END {
        row = "%-22s %12s %12s %8s %12s %12s %12s  %s\n"
        printf row, "instructions", "mallocator", "written", "change", "bumpalo", "bump-scope", "blink-alloc", ""
        for (place = 1; place <= last; place++) {
            name = names[place]
            now = count[name, "mallocator"]
            change = verdict = ""
            if (!(name in written)) {
                verdict = "is not in the baseline"
                failed = 1
            } else {
                change = sprintf("%+.1f %%", (now / written[name] - 1) * 100)
                if (now > written[name] * 1.05) { verdict = "more than 5 % above"; failed = 1 }
                else if (now < written[name] * 0.95) verdict = "fewer: --update keeps it"
            }
            printf row, name, now, written[name], change, count[name, "bumpalo"], count[name, "bump_scope"],
                count[name, "blink_alloc"], verdict
        }
        for (name in missing) { print name " is in the baseline and was not counted"; failed = 1 }
        exit failed
    }
' $baseline $counts
