#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On a Debian machine with network: packs what scripts/gpu_check.sh needs on a machine without.
#   scripts/pack_gpu_deps.sh [--out FOLDER] [--data FOLDER]
# --out    where to write, build by default:
#          gpu_deps.tar.xz   our libraries: headers, CMake files, shared libraries and what those need
#          gpu_data/         with --data: weights, recorded numbers and pictures
# --data   the folder with recorded numbers (reference/, weights/, data/); YDISTILL_REFERENCE if set
# CUDA, cuDNN, CMake, ninja, g++ and Python with PyTorch are expected there. Ends with exit code 1 if
# everything together is more than 64 MiB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
  echo "pack_gpu_deps: $*" >&2
  exit 1
}

out=build
data=${YDISTILL_REFERENCE:-}
while [ "$#" -gt 0 ]; do
  case "$1" in
    --out | --data)
      [ "$#" -ge 2 ] || die "$1 needs a folder"
      if [ "$1" = --out ]; then out=$2; else data=$2; fi
      shift 2
      ;;
    -h | --help) sed -n '3,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "pack_gpu_deps: unknown argument $1; expected --out or --data" >&2 && exit 2 ;;
  esac
done
command -v dpkg-query >/dev/null 2>&1 || die "this is no Debian: dpkg-query is missing"
[ -z "$data" ] || [ -d "$data/reference" ] || die "$data holds no folder reference/"
scripts/install_deps.sh
frontend=build/cudnn-frontend/include
[ -f "$frontend/cudnn_frontend.h" ] ||
  die "$frontend/cudnn_frontend.h is missing: scripts/install_deps.sh unpacks it where nvcc is"

prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

# copy FILE: to its place below the prefix, which corresponds to /usr.
copy() {
  local real place
  real=$(readlink -f "$(dirname "$1")")/$(basename "$1")
  place=$prefix/${real#/usr/}
  mkdir -p "$(dirname "$place")"
  cp -P "$1" "$place"
}

# Headers, CMake files and libraries of each package and of the packages it needs for them.
mapfile -t packages < <(scripts/install_deps.sh --list)
packages+=(opencl-c-headers)
for package in "${packages[@]}"; do
  while IFS= read -r file; do
    case "$file" in
      *.gz | */doc/* | */man/* | *.py) ;;
      /usr/include/* | *.cmake | *.so | *.so.* | *.a) if [ ! -d "$file" ]; then copy "$file"; fi ;;
    esac
  done < <(dpkg-query -L "$package")
done
mkdir -p "$prefix/include"
cp -r "$frontend/." "$prefix/include/"

# The targets of links, and the libraries that they load in turn, except the C and C++ runtime. The
# latter go into the folder needed/: the machine's own copy is preferred if it has one.
libraries=$prefix/lib/$(gcc -print-multiarch)
mkdir -p "$libraries/needed"
for link in "$libraries"/*.so; do
  real=$(readlink -f "/usr/lib/$(gcc -print-multiarch)/$(basename "$link")")
  copy "$real"
  soname=$(objdump -p "$real" | awk '$1 == "SONAME" { print $2 }')
  [ -e "$libraries/$soname" ] || ln -s "$(basename "$real")" "$libraries/$soname"
  ldd "$real" | awk '$2 == "=>" { print $1, $3 }' | while read -r name path; do
    case "$name" in
      libc.so* | libm.so* | libstdc++.so* | libgcc_s.so* | libgomp.so* | libdl.so* | libpthread.so*) ;;
      *) if [ ! -e "$libraries/$name" ]; then cp -L "$path" "$libraries/needed/$name"; fi ;;
    esac
  done
done
find "$libraries" -type f -name '*.so*' -exec strip --strip-unneeded {} +

mkdir -p "$out"
tar -C "$prefix" -cf - . | xz -T0 -6 >"$out/gpu_deps.tar.xz.partial"
mv "$out/gpu_deps.tar.xz.partial" "$out/gpu_deps.tar.xz"
packed=("$out/gpu_deps.tar.xz")

if [ -n "$data" ]; then
  wanted=(reference/train_s_m.safetensors reference/val_yolov5n_coco128.json
          weights/yolov5s-v5-voc20.pt weights/yolov5n-v6-coco.pt data/coco128)
  rm -rf "$out/gpu_data"
  for part in "${wanted[@]}"; do
    [ -e "$data/$part" ] || die "$data/$part is missing"
    mkdir -p "$out/gpu_data/$(dirname "$part")"
    cp -r "$data/$part" "$out/gpu_data/$part"
  done
  chmod -R u+w "$out/gpu_data"
  packed+=("$out/gpu_data")
fi

du -ch --apparent-size "${packed[@]}"
total=$(du -cb "${packed[@]}" | awk 'END { print $1 }')
[ "$total" -le $((64 << 20)) ] || die "$((total >> 20)) MiB in all, more than 64"
