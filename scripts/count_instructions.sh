#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Counts with valgrind how many instructions the hot kernels take per element, and compares with
# the bounds in tests/guard/instructions.csv; see docs/performance.md.
#   scripts/count_instructions.sh [--program FILE] [--write | --check KERNEL | --check-names]
# without one of them   prints all counts with their bounds; exit code 1 if one is exceeded
# --write               counts all and writes the table: each bound is the count plus 5 %
# --check KERNEL        only one kernel, as the tests do; exit code 4 if nothing can be compared
# --check-names         whether the table names exactly the kernels that the program has
# --program FILE        default build/cpu-release/tests/guard/count_kernels
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

table=tests/guard/instructions.csv
program=build/cpu-release/tests/guard/count_kernels
level=avx2  # the highest that valgrind supports
# Valgrind counts each byte of `rep stosb`, so memset and memcpy must not use it.
export GLIBC_TUNABLES=glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000
skipped=4

die() {
  echo "count_instructions: $*" >&2
  exit 1
}

skip() {
  echo "skipped: guard/$kernel: $*"
  exit "$skipped"
}

mode=print
kernel=
while [ "$#" -gt 0 ]; do
  case "$1" in
    --program | --check)
      [ "$#" -ge 2 ] || die "$1 needs a value"
      if [ "$1" = --program ]; then program=$2; else mode=check && kernel=$2; fi
      shift
      ;;
    --write) mode="write" ;;
    --check-names) mode=names ;;
    -h | --help) sed -n '3,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) die "unknown argument $1; --help names all" ;;
  esac
  shift
done
[ -x "$program" ] || die "no program $program; build it with: ninja -C build/cpu-release count_kernels"

# column KERNEL NUMBER: that column of the kernel's row in the table
column() { awk -F, -v kernel="$1" -v column="$2" '$1 == kernel {print $column}' "$table"; }

# Prints the instructions per element of kernel $1 at $level; if this machine does not have that
# level, the reason on stderr and exit code 4.
count() {
  local output
  output=$(YDISTILL_CPU_LEVEL=$level valgrind --tool=callgrind --callgrind-out-file=/dev/null \
    --toggle-collect=ydistill_counted "$program" "$1" 2>&1) || die "$1 failed under valgrind: $output"
  awk -v kernel="$1" -v level="$level" -v skipped="$skipped" '
    /Collected :/ {instructions = $NF}
    $1 == "elements" {elements = $2; ran_at = $3}
    END {
      if (ran_at != level) {
        print "valgrind shows a processor of the level " ran_at ", counted is " level > "/dev/stderr"
        exit skipped
      }
      if (instructions < 1) {
        print "count_instructions: " kernel ": valgrind counted nothing" > "/dev/stderr"
        exit 1
      }
      printf "%.4f\n", instructions / elements
    }' <<<"$output"
}

if [ "$mode" = names ]; then
  if ! diff <(grep '^[a-z]' "$table" | grep -v '^kernel,' | cut -d, -f1 | sort) <("$program" --list | sort); then
    die "$table (<) and the program (>) name different kernels; run scripts/count_instructions.sh --write"
  fi
  exit 0
fi

build=$("$program" --build)
table_build=$(sed -n 's/^# build: //p' "$table" 2>/dev/null || true)
if [ "$mode" = check ]; then
  bound=$(column "$kernel" 3)
  [ -n "$bound" ] || die "$table has no kernel $kernel"
  command -v valgrind >/dev/null 2>&1 || skip "needs valgrind"
  [ "$build" = "$table_build" ] || skip "the bounds are for $table_build, this is $build"
  status=0
  counted=$(count "$kernel" 2>&1) || status=$?
  [ "$status" -ne "$skipped" ] || skip "$counted"
  [ "$status" -eq 0 ] || die "$counted"
  echo "$kernel: $counted instructions per element, bound $bound"
  if awk -v counted="$counted" -v bound="$bound" 'BEGIN {exit !(counted > bound)}'; then
    die "$kernel takes more instructions than its bound. If that is worth it, say why in the commit" \
      "and run scripts/count_instructions.sh --write"
  fi
  exit 0
fi

command -v valgrind >/dev/null 2>&1 || die "needs valgrind (Debian: apt-get install valgrind)"
[ "$mode" = write ] || [ "$build" = "$table_build" ] ||
  echo "count_instructions: the bounds are for $table_build, this is $build" >&2
new=$(mktemp)
trap 'rm -f "$new"' EXIT
{
  echo "# Instructions per element of the hot kernels at the level $level, and the most a test accepts."
  echo "# Written by scripts/count_instructions.sh --write; see docs/performance.md. They hold for:"
  echo "# build: $build"
  echo "kernel,instructions,bound"
} >"$new"
exceeded=0
for kernel in $("$program" --list); do
  counted=$(count "$kernel") || exit 1
  awk -v kernel="$kernel" -v counted="$counted" \
    'BEGIN {printf "%s,%s,%.4f\n", kernel, counted, 1.05 * counted}' >>"$new"
  bound=$([ ! -f "$table" ] || column "$kernel" 3)
  mark=$(awk -v counted="$counted" -v bound="${bound:-inf}" \
    'BEGIN {if (bound != "inf" && counted > bound + 0) print "  EXCEEDED"}')
  [ -z "$mark" ] || exceeded=1
  printf '%-40s %10s  bound %10s%s\n' "$kernel" "$counted" "${bound:-none}" "$mark"
done
if [ "$mode" = write ]; then
  cat "$new" >"$table"
  echo "wrote $table"
  exit 0
fi
exit "$exceeded"
