#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Configures and builds a preset; used by test.sh and demo.sh, and on its own.
#   scripts/build.sh [--target NAME] ... [PRESET [CMAKE ARGUMENT ...]]
# PRESET: cpu-release by default. NAME: build only this target (and what it needs)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=()
while [ "${1:-}" = --target ]; do
  targets+=(--target "$2")
  shift 2
done
preset=${1:-cpu-release}
[ "$#" -eq 0 ] || shift
arguments=("$@")
if command -v ccache >/dev/null 2>&1; then
  arguments+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
cmake --preset "$preset" "${arguments[@]}"
cmake --build --preset "$preset" "${targets[@]}"
