#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Formats every C++ and CUDA file that git knows with clang-format.
#   scripts/format.sh [--check]      --check: change nothing; list what differs, exit code 1 if any
# The tree is formatted by version 14 (Debian 12's); other versions differ in details, so --check
# does nothing if there is no clang-format 14. CLANG_FORMAT names another program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=14
program=${CLANG_FORMAT:-}
if [ -z "$program" ]; then
  for candidate in "clang-format-$wanted" clang-format; do
    if command -v "$candidate" >/dev/null 2>&1; then program=$candidate && break; fi
  done
fi
mode=${1:-}
case "$mode" in
  "" | --check) ;;
  *) echo "format: unknown argument $mode; expected --check or none" >&2 && exit 2 ;;
esac

version=
if [ -n "$program" ]; then version=$("$program" --version | sed -E 's/.*version ([0-9]+).*/\1/'); fi
if [ "$version" != "$wanted" ] && [ -z "${CLANG_FORMAT:-}" ]; then
  found=${version:+, found version $version}
  if [ "$mode" = --check ]; then
    echo "format: not checked: needs clang-format $wanted$found"
    exit 0
  fi
  echo "format: needs clang-format $wanted$found (Debian: apt-get install clang-format-$wanted)" >&2
  exit 1
fi

list() { git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cpp' '*.cu' '*.cuh'; }
if [ "$mode" = --check ]; then
  if ! list | xargs -0 --no-run-if-empty "$program" --dry-run -Werror; then
    echo "format: these files are not as clang-format would have them; run scripts/format.sh" >&2
    exit 1
  fi
else
  list | xargs -0 --no-run-if-empty "$program" -i
fi
