# Sourced by the other scripts: installs Debian packages that are missing, or says which.

# need PACKAGE...: installs them as root on Debian; elsewhere names what is missing and fails.
need() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing: ${missing[*]}" >&2
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
    else
        echo "missing, by the names of Debian's packages: ${missing[*]}" >&2
        return 1
    fi
}
