#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs with apt what a build needs and this machine lacks. Prints nothing if nothing is missing.
#   scripts/install_deps.sh [--check | --list | --with-browser | --with-valgrind | --with-mpi]
# --check   only report what is missing; exit code 1 if something is
# --list    only list the libraries' packages, one per line
# --with-browser   also Chromium, without which the tests of the report's pages are skipped
# --with-valgrind  also valgrind, without which the tests that count instructions are skipped
# --with-mpi       also Open MPI, for YDISTILL_MPI: training in several processes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Tools, detected by their command: they need not come from a package.
tools=(cmake:cmake ninja:ninja-build g++:g++)
# Libraries. Debian's oneDNN was built with OpenCL, so its CMake package requires that too.
libraries=(libdnnl-dev ocl-icd-opencl-dev libturbojpeg0-dev libstb-dev nlohmann-json3-dev
           libpugixml-dev libyaml-cpp-dev libzip-dev libcli11-dev libfmt-dev catch2)

die() {
  printf 'install_deps: %s\n' "$@" >&2
  exit 1
}

check_only=no
case "${1:-}" in
  "") ;;
  --check) check_only=yes ;;
  --list) printf '%s\n' "${libraries[@]}" && exit 0 ;;
  --with-browser) tools+=(chromium:chromium) ;;
  --with-valgrind) tools+=(valgrind:valgrind) ;;
  --with-mpi) tools+=(mpiexec:openmpi-bin) && libraries+=(libopenmpi-dev) ;;
  *) die "unknown argument $1; expected --check, --list, --with-browser, --with-valgrind, --with-mpi or none" ;;
esac

# cudnn-frontend is headers only and not a Debian package; if there is a CUDA toolkit, its pip
# package is unpacked into build/cudnn-frontend (third_party/cuda.cmake looks there).
# Later releases (from 1.22) link NVRTC for an engine that is not used here.
frontend_version=1.18.0
frontend_headers=build/cudnn-frontend/include
fetch_frontend() {
  local found
  for found in "$frontend_headers" ${CPATH:+"${CPATH//:/ }"} /usr/include /usr/local/include; do
    if [ -f "$found/cudnn_frontend.h" ]; then return; fi
  done
  if [ "$check_only" = yes ]; then
    echo "install_deps: missing: cudnn-frontend's headers (pip package nvidia-cudnn-frontend)"
    return
  fi
  local folder
  folder=$(mktemp -d)
  if python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: \
      --dest "$folder" "nvidia-cudnn-frontend==$frontend_version" >&2 &&
    python3 -m zipfile -e "$folder"/*.whl "$folder/unpacked"; then
    mkdir -p build/cudnn-frontend
    cp -r "$folder/unpacked/include" build/cudnn-frontend/
    echo "install_deps: unpacked cudnn-frontend's headers into $frontend_headers"
  else
    echo "install_deps: cudnn-frontend's headers could not be had; the GPU part will not be built" >&2
  fi
  rm -rf "$folder"
}
if command -v nvcc >/dev/null 2>&1; then fetch_frontend; fi

missing=()
for tool in "${tools[@]}"; do
  command -v "${tool%%:*}" >/dev/null 2>&1 || missing+=("${tool##*:}")
done
if ! command -v dpkg-query >/dev/null 2>&1; then
  [ "${#missing[@]}" -eq 0 ] || die "missing: ${missing[*]}"
  echo "install_deps: this is no Debian; if configuring fails, install what these Debian packages hold:" >&2
  echo "install_deps:   ${libraries[*]}" >&2
  exit 0
fi
for package in "${libraries[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

command_line="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$check_only" = yes ]; then
  echo "install_deps: missing: ${missing[*]}"
  exit 1
fi
command -v apt-get >/dev/null 2>&1 || die "apt-get is not here; install: ${missing[*]}"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  # Without a terminal sudo cannot ask for a password.
  if ! command -v sudo >/dev/null 2>&1 || { ! [ -t 0 ] && ! sudo -n true 2>/dev/null; }; then
    die "packages are missing and installing them needs root; as root, run:" \
        "  apt-get update && $command_line"
  fi
  as_root=(sudo)
fi

echo "install_deps: installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
"${apt[@]}" update || echo "install_deps: apt-get update failed; trying with the lists at hand" >&2
# shellcheck disable=SC2086
if ! "${apt[@]}" ${command_line#apt-get } </dev/null; then
  die "apt-get could not install everything; try by hand:" "  apt-get update && $command_line"
fi
