#!/bin/sh
# Writes each requirements.txt here anew from the requirements.in beside it: the newest versions that it allows, with
# their hashes at PyPI. For the Python and the C library of base.Dockerfile. `make locks` runs it.
set -eu
cd "$(dirname "$0")"
for file in requirements.in */requirements.in; do
    "${UV:-uv}" pip compile "$file" --output-file "${file%.in}.txt" --no-config --quiet --upgrade --generate-hashes \
        --no-header --no-annotate --python-version 3.11 --python-platform x86_64-manylinux_2_36 \
        --default-index https://pypi.org/simple
done
