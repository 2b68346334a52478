#!/usr/bin/env bash
# Fetches 50 MB of real JSON and prints the path of the file: the description of all classes, members and comments of
# the AWS CDK, which is an Apache-2.0 package of npm. It has 300,000 objects, 19 deep, text with and without escapes,
# and integers. (Versions from 2.37 on have the file compressed.)
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/npm.sh

npm_file aws-cdk-lib 2.35.0 package/.jsii aws-cdk-lib-2.35.0.json \
    1d123cb183e2e714f1dfa1b3fbea403688e8c07dfa98ad69cfd62995e8513366
