#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs all tests.
#   scripts/test.sh [--asan] [-- CTEST ARGUMENT ...]
# --asan   build with AddressSanitizer and UBSan and run the whole suite under them
# YDISTILL_REFERENCE names the folder with recorded numbers (reference/, weights/, data/); without
# it the tests that compare with them are reported as skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=cpu-release
while [ "$#" -gt 0 ]; do
  case "$1" in
    --asan) preset=cpu-asan ;;
    --) shift && break ;;
    -h | --help) sed -n '3,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "test: unknown argument $1; expected --asan" >&2 && exit 2 ;;
  esac
  shift
done

scripts/install_deps.sh --with-mpi
scripts/format.sh --check
arguments=(-DYDISTILL_MPI=ON)  # off by default
# The GPU part is built if the toolkit is there; without a GPU its kernels run emulated.
if command -v nvcc >/dev/null 2>&1 && [ -f build/cudnn-frontend/include/cudnn_frontend.h ]; then
  arguments+=(-DYDISTILL_CUDA=ON)
  if [ -f "$(dirname "$(command -v nvcc)")/../include/nccl.h" ]; then arguments+=(-DYDISTILL_NCCL=ON); fi
fi
scripts/build.sh "$preset" "${arguments[@]}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
# Several tests at once share the cores: threads that wait should sleep, not spin.
export OMP_WAIT_POLICY=passive
ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" "$@"
