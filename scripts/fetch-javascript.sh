#!/usr/bin/env bash
# Fetches 9 MB of real JavaScript and prints the path of the file: the TypeScript compiler, an Apache-2.0 package of npm.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/npm.sh

npm_file typescript 5.9.3 package/lib/typescript.js typescript-5.9.3.js \
    3ae902c92cc44dace175c0e69e13a4b0899f6983c6121d76b9ab8dd5795e7675
