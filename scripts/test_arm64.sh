#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds for 64-bit ARM on a Debian machine of another kind and runs the tests on an emulated
# processor (QEMU). Leaves the ARM system's libraries in build/arm64-sysroot and the build, with
# ./tools/ydistill, in build/arm64. Half an hour of building and an hour of tests on two cores.
#   scripts/test_arm64.sh [--build-only] [-- CTEST ARGUMENT ...]
# The tests of the commands start programs themselves: they run only if Linux starts ARM programs by
# QEMU (as root this script registers them, until the next restart), and are left out otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run_tests=yes
while [ "$#" -gt 0 ]; do
  case "$1" in
    --build-only) run_tests=no ;;
    --) shift && break ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "test_arm64: unknown argument $1; expected --build-only" >&2 && exit 2 ;;
  esac
  shift
done

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
for tool in aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-aarch64:qemu-user cmake:cmake ninja:ninja-build; do
  if ! command -v "${tool%%:*}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get install -y -q --no-install-recommends "${tool##*:}" </dev/null
  fi
done

# The ARM packages and their dependencies are only unpacked: this system is not changed.
sysroot=$PWD/build/arm64-sysroot
if [ ! -e "$sysroot/complete" ]; then
  state=$PWD/build/arm64-packages
  mkdir -p "$sysroot" "$state/lists/partial" "$state/archives/partial"
  : >"$state/status"
  apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Debug::NoLocking=1
       -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state")
  "${apt[@]}" update
  mapfile -t libraries < <(scripts/install_deps.sh --list | grep -v -e dnnl -e opencl)
  "${apt[@]}" install -y --no-install-recommends --download-only \
    "${libraries[@]}" libc6-dev libstdc++-12-dev libgomp1
  for package in "$state"/archives/*.deb; do dpkg -x "$package" "$sysroot"; done
  rm -rf "$state"
  touch "$sysroot/complete"
fi

cmake -S . -B build/arm64 -G Ninja -DCMAKE_BUILD_TYPE=Release -DYDISTILL_SYSROOT="$sysroot" \
  -DCMAKE_TOOLCHAIN_FILE=third_party/arm64_linux.cmake
cmake --build build/arm64
if [ "$run_tests" = no ]; then exit 0; fi

export QEMU_LD_PREFIX=$sysroot OMP_WAIT_POLICY=passive
# QEMU keeps a record of every page of addresses that a program reserves, so limit them.
ulimit -v $((24 << 20))
formats=/proc/sys/fs/binfmt_misc
if ! build/arm64/tools/ydistill --version >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
  [ -e "$formats/register" ] || mount -t binfmt_misc binfmt_misc "$formats" || true
  # An ELF file for little-endian 64-bit ARM (machine 0xb7), program or shared.
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64):" >"$formats/register" || true
fi
left_out=()
if ! build/arm64/tools/ydistill --version >/dev/null 2>&1; then
  echo "test_arm64: this system starts no ARM programs by itself: the tests of commands are left out" >&2
  left_out=(--exclude-regex '^(tools|examples)/')
fi
# Guards count an x86-64 processor's instructions; the installed example is built by this system's compiler.
ctest --test-dir build/arm64 --output-on-failure -j "$(nproc)" --timeout 3000 \
  "${left_out[@]}" "$@"
