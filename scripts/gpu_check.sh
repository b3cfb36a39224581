#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On a machine with a GPU and no network: builds, tests, checks and measures everything on the GPU.
#   scripts/gpu_check.sh [--out FOLDER] [--deps FOLDER | ARCHIVE] [--data FOLDER]
#                        [--stages A,B,...] [--quick] [--budget SECONDS]
# --out      where the results are written, out/gpu_check by default: gpu_check.json, gpu_check.txt,
#            log.txt, cudnn_device.json, kernels.txt, benchmark.json, benchmark.md
# --deps     our libraries, as scripts/pack_gpu_deps.sh packs them (build/gpu_deps.tar.xz if it
#            exists; otherwise the system's are used)
# --data     weights, recorded numbers and pictures (build/gpu_data if it is there, else YDISTILL_REFERENCE)
# --stages   only these, in their own order: build device trace tests val train peers kernels compare
#            sanitizer suite. All but build need an earlier build
# --quick    shorter: no race and init checks, one benchmark configuration
# --budget   seconds for everything, 580 by default; a stage for which none are left is not run
# Exit code 0 if every stage passed, 1 if not. What a stage does and how to read the results:
# docs/gpu.md. PYTHON names the Python with PyTorch (python3).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
  echo "gpu_check: $*" >&2
  exit 1
}
usage() {
  echo "gpu_check: $*" >&2
  exit 2
}

# The most informative stages come first: time may run out.
all_stages=(build device trace tests val train peers kernels compare sanitizer suite)
out=out/gpu_check
deps=
data=
stages=("${all_stages[@]}")
quick=no
budget=580
while [ "$#" -gt 0 ]; do
  case "$1" in
    --quick) quick=yes && shift && continue ;;
    -h | --help) sed -n '3,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
    --out | --deps | --data | --stages | --budget) [ "$#" -ge 2 ] || usage "$1 needs a value" ;;
    *) usage "unknown argument $1; expected --out, --deps, --data, --stages, --quick or --budget" ;;
  esac
  case "$1" in
    --out) out=$2 ;;
    --deps)
      deps=$2
      [ -e "$deps" ] || usage "--deps: $2 is not there"
      ;;
    --data)
      data=$2
      [ -d "$data/reference" ] || usage "--data: $2 holds no folder reference/"
      ;;
    --budget)
      budget=$2
      [[ $budget =~ ^[1-9][0-9]*$ ]] || usage "--budget: $2 is no number of seconds"
      ;;
    --stages)
      IFS=, read -r -a stages <<<"$2"
      for stage in "${stages[@]}"; do
        [[ " ${all_stages[*]} " == *" $stage "* ]] || usage "--stages: no $stage; there are ${all_stages[*]}"
      done
      ;;
  esac
  shift 2
done
if [ -z "$deps" ]; then
  for found in build/gpu_deps.tar.xz build/gpu_deps; do
    if [ -e "$found" ]; then deps=$found && break; fi
  done
fi
if [ -z "$data" ]; then
  data=${YDISTILL_REFERENCE:-}
  if [ -d build/gpu_data/reference ]; then data=build/gpu_data; fi
fi

python=${PYTHON:-python3}
work=build/gpu_check
binaries=build/cuda-release
ydistill=$binaries/tools/ydistill
mkdir -p "$out" "$work"
out=$(cd "$out" && pwd)
[ -z "$data" ] || data=$(cd "$data" && pwd)
rm -rf "$work/stages"
mkdir -p "$work/stages"
rm -f "$out"/{gpu_check.json,gpu_check.txt,log.txt,cudnn_device.json,kernels.txt,benchmark.json,benchmark.md,benchmark_autotune.json}
begin=$SECONDS

for tool in "$python" nvcc cmake ninja g++; do
  if ! command -v "$tool" >/dev/null 2>&1; then
    if [ "$tool" = nvcc ] && [ -x /usr/local/cuda/bin/nvcc ]; then
      export PATH=$PATH:/usr/local/cuda/bin
    else
      die "$tool is not here"
    fi
  fi
done
gpu=$(nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv,noheader 2>/dev/null |
  head -n 1 || true)
if [ -z "$gpu" ] && [ "${stages[*]}" != build ]; then
  die "nvidia-smi shows no GPU on this machine (--stages build needs none)"
fi
toolkit=$(cd "$(dirname "$(readlink -f "$(command -v nvcc)")")/.." && pwd)

# Our libraries, brought along: CMake finds them through the prefix, the loader through the path.
# Both are set in the environment, so that the test that builds a separate project finds them too.
if [ -n "$deps" ]; then
  if [ -f "$deps" ]; then
    rm -rf "$work/deps"
    "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
      "$deps" "$work/deps" 2>"$work/unpack.log" || die "$deps is not an archive that can be unpacked"
    deps=$work/deps
  fi
  deps=$(cd "$deps" && pwd)
  known=$(ldconfig -p)
  for folder in "$deps"/lib/*-linux-gnu "$deps/lib"; do
    [ -d "$folder" ] || continue
    for library in "$folder"/needed/*; do
      name=$(basename "$library")
      if [ -e "$library" ] && [ ! -e "$folder/$name" ] && ! grep -qF "$name" <<<"$known"; then
        ln -s "needed/$name" "$folder/$name"
      fi
    done
    export LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  done
  export CMAKE_PREFIX_PATH="$deps${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
fi

# cuDNN: the toolkit's or the system's, else the one inside Python's packages.
has_cudnn() {
  local folder
  for folder in "$toolkit/include" "$toolkit/targets/x86_64-linux/include" /usr/include \
    "/usr/include/$(uname -m)-linux-gnu" /usr/local/include; do
    if [ -f "$folder/cudnn.h" ]; then return 0; fi
  done
  return 1
}
cudnn="of the toolkit or the system"
if [ -n "${CUDNN_ROOT:-}" ]; then
  cudnn=$CUDNN_ROOT
elif ! has_cudnn; then
  cudnn=$("$python" -c 'import nvidia.cudnn; print(list(nvidia.cudnn.__path__)[0])' 2>/dev/null) ||
    die "cuDNN is neither with the CUDA toolkit ($toolkit) nor among the packages of $python; set CUDNN_ROOT"
fi
if [ -d "$cudnn" ]; then
  export CUDNN_ROOT=$cudnn
  # What cuDNN loads at run time (NVRTC, cuBLAS) is located next to it, unless the toolkit has it.
  for folder in "$cudnn/lib" "$cudnn"/../*/lib; do
    if [ -d "$folder" ]; then export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"; fi
  done
fi
# Kernels for this GPU only: the build takes a third of the time.
architectures=
if [ -n "$gpu" ]; then
  architectures=-DYDISTILL_CUDA_ARCHITECTURES=$(cut -d, -f2 <<<"$gpu" | tr -d ' .')
fi

# ---------------------------------------------------------------- stages
# Each runs in a separate shell with a time limit. It reports its result in one line with `note`.

note() { echo "$*" >"$work/stages/$stage.note"; }

needs() {
  local file
  for file in "$@"; do
    if [ ! -e "$file" ]; then note "$file is missing" && exit 1; fi
  done
}

stage_build() {
  # This machine's compiler may give warnings that ours does not: they must not end the check.
  cmake --preset cuda-release -DYDISTILL_NVCC_WERROR=OFF ${architectures:+"$architectures"}
  # Only what runs on the GPU; the stage that tests the CPU's code builds those tests.
  cmake --build --preset cuda-release --parallel "$(nproc)" \
    --target ydistill_tool bench_step bench_kernels describe_device test_cuda
  note "built with $(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/nvcc \1/p'), $(g++ -dumpfullversion)," \
    "cuDNN $cudnn"
}

stage_device() {
  needs "$binaries/bench/describe_device"
  "$binaries/bench/describe_device" >"$work/cudnn_device.json"
  "$python" -m json.tool "$work/cudnn_device.json" >/dev/null
  cp "$work/cudnn_device.json" "$out/"
  note "cuDNN's description of the device is in cudnn_device.json"
}

# trace_cases PRECISION: runs the recorded cases of the small student on the GPU, in parallel: most
# of their time is the start of a process.
trace_cases() {
  local precision=$1 case pairs=() running=()
  for case in det l2 kl4 bce; do
    rm -f "$work/$precision.$case.safetensors"
    "$ydistill" trace --student "$data/weights/yolov5s-v5-voc20.pt" --teacher-from-batch \
      --batch "$data/reference/train_s_m.safetensors" --case "$case" --device cuda \
      --precision "$precision" --out "$work/$precision.$case.safetensors" &
    running+=("$!")
    pairs+=("$case=$work/$precision.$case.safetensors")
  done
  local failed=no process
  for process in "${running[@]}"; do wait "$process" || failed=yes; done
  if [ "$failed" = yes ]; then return 1; fi
  shift
  "$python" scripts/compare_trace.py "$@" --json "$work/stages/trace.$precision.json" \
    "$data/reference/train_s_m.safetensors" "${pairs[@]}"
}

stage_trace() {
  needs "$ydistill" "$data/weights/yolov5s-v5-voc20.pt" "$data/reference/train_s_m.safetensors"
  local status=0 precision
  trace_cases fp32 || status=1
  # A loose tolerance that only finds wrong formulas; the numbers themselves are kept.
  trace_cases tf32 --relative 0.05 || status=1
  trace_cases bf16 --relative 0.3 || status=1
  note "$("$python" - "$work/stages" <<'PY'
import json, pathlib, sys
parts = []
for precision in ("fp32", "tf32", "bf16"):
    path = pathlib.Path(sys.argv[1], f"trace.{precision}.json")
    if path.exists():
        cases = json.loads(path.read_text()).values()
        worst = max(e for c in cases for e in c["relative"].values())
        parts.append(f"{precision} {max(c['share'] for c in cases):.2f} of the limit, relative {worst:.1e}")
    else:
        parts.append(f"{precision} no numbers")
print("; ".join(parts))
PY
)"
  return "$status"
}

# Number of test cases of the last ctest with this result.
count() { grep -cE "Test +#[0-9]+: .*$1" "$work/ctest.log" || true; }

# run_tests ARGUMENT ...: runs ctest with these; notes how many cases passed, were skipped, failed.
run_tests() {
  needs "$binaries/CTestTestfile.cmake"
  local status=0
  export OMP_WAIT_POLICY=passive
  if [ -n "$data" ]; then export YDISTILL_REFERENCE=$data YDISTILL_REFERENCE_PARTIAL=1; fi
  ctest --test-dir "$binaries" --output-on-failure "$@" >"$work/ctest.log" 2>&1 || status=$?
  cat "$work/ctest.log"
  note "$(count ' Passed ') passed, $(count '\*\*\*Skipped') skipped," \
    "$(count '\*\*\*(Failed|Timeout|Exception|Not Run)') failed"
  return "$status"
}

# The GPU's test cases. A few at a time: each is a process with its own CUDA context.
stage_tests() {
  needs "$binaries/tests/cuda/test_cuda"
  run_tests -R '^cuda/gpu' -j 6
  if [ "$(count '\*\*\*Skipped')" -gt "$(count ' Passed ')" ]; then
    note "most cases were skipped: the program saw no GPU" && return 1
  fi
}

# The CPU's test cases on this machine; those with an emulated or described GPU and those that count
# instructions give no new information here.
stage_suite() {
  cmake --build --preset cuda-release --parallel "$(nproc)"
  run_tests -E '^(cuda/|cuda-emulated/|guard/)' -j "$(nproc)"
}

stage_val() {
  local coco=$data/data/coco128 recorded=$data/reference/val_yolov5n_coco128.json
  needs "$ydistill" "$data/weights/yolov5n-v6-coco.pt" "$coco/instances.json" "$recorded"
  "$python" - "$data" >"$work/val.json" <<'PY'
import json, sys
data = sys.argv[1]
print(json.dumps({"model": {"weights": f"{data}/weights/yolov5n-v6-coco.pt"},
                  "data": {"val": {"coco": f"{data}/data/coco128/instances.json",
                                   "images": f"{data}/data/coco128/images"}},
                  "train": {"workers": 4}}))
PY
  local run
  for run in "cpu fp32" "cuda fp32" "cuda bf16"; do
    # shellcheck disable=SC2086
    set -- $run
    "$ydistill" val "$work/val.json" --json "device=$1" "precision=$2" >"$work/val.$1.$2.json"
  done
  local status=0
  "$python" - "$work" "$recorded" >"$work/val.note" <<'PY' || status=$?
import json, pathlib, sys
work, recorded = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
read = lambda name: json.loads((work / f"val.{name}.json").read_text())["metrics"]
cpu, runs, worst = read("cpu.fp32"), {}, 0
for name in ("cuda.fp32", "cuda.bf16"):
    m = runs[name] = read(name)
    for key in ("map50", "map"):
        difference = abs(m[key] - cpu[key])
        worst = max(worst, difference) if difference == difference else float("inf")
text = lambda m: f"{m['map50']:.4f}/{m['map']:.4f}"
print(f"mAP50/mAP50-95: original {text(recorded)}, CPU {text(cpu)}, GPU fp32 {text(runs['cuda.fp32'])}, "
      f"bf16 {text(runs['cuda.bf16'])}; largest difference to the CPU {worst:.4f} (limit 0.004)")
sys.exit(0 if worst <= 0.004 else 1)
PY
  note "$(cat "$work/val.note")"
  return "$status"
}

# A complete distillation on the GPU, seconds long: it must end, write its files and stay finite.
stage_train() {
  local coco=$data/data/coco128
  needs "$ydistill" "$data/weights/yolov5n-v6-coco.pt" "$coco/instances.json"
  "$python" - "$data" "$work" >"$work/train.json" <<'PY'
import json, sys
data, work = sys.argv[1:]
source = {"coco": f"{data}/data/coco128/instances.json", "images": f"{data}/data/coco128/images"}
weights = {"weights": f"{data}/weights/yolov5n-v6-coco.pt"}
print(json.dumps({"device": "cuda", "precision": "bf16", "model": weights, "teacher": weights,
                  "data": {"train": source, "val": source},
                  "train": {"epochs": 2, "batch": 16, "image_size": 320, "workers": 8},
                  "run": {"dir": f"{work}/runs", "name": "train"}}))
PY
  rm -rf "$work/runs"
  "$ydistill" train "$work/train.json" "run.dir=$work/runs"
  needs "$work/runs/train/weights/last.safetensors"
  if grep -qiE '(^|,) *-?(nan|inf)' "$work/runs/train/results.csv"; then
    note "results.csv holds a number that is not finite" && return 1
  fi
  note "2 epochs of distillation in bf16; last line $(tail -n 1 "$work/runs/train/results.csv" | tr -s ' ')"
}

# Checks that the PyTorch programs that we compare with compute the same on this GPU.
stage_peers() {
  needs "$ydistill" "$data/weights/yolov5s-v5-voc20.pt" "$data/reference/train_s_m.safetensors"
  "$ydistill" convert "$data/weights/yolov5s-v5-voc20.pt" "$work/student.safetensors"
  local status=0
  "$python" bench/peers/check_torch.py --device cuda --weights "$work/student.safetensors" \
    --batch "$data/reference/train_s_m.safetensors" --cases det,l2 | tee "$work/peers.log" || status=$?
  note "$(sed -n 's/^\(det\|l2\) .*a limit \([0-9.a-z]*\).*/\1 \2 of the limit/p' "$work/peers.log" | paste -sd, -)"
  return "$status"
}

# sanitize TOOL ARGUMENT ...: compute-sanitizer on our own kernels. initcheck must also watch the
# libraries' kernels to know what they wrote; its findings count only if they name a kernel of ours.
# Wrong addresses inside the arena are not found, because it is one piece of memory; the emulated
# GPU's tests with YDISTILL_SANITIZE find those.
sanitize() {
  local tool=$1 filter=() code=0 option help
  shift
  # The option's name has changed. No pipe: grep -q would close it early, which counts as a failure.
  help=$(compute-sanitizer --help 2>&1 || true)
  for option in --kernel-name --kernel-regex --filter; do
    if grep -q -e "$option\b" <<<"$help"; then
      filter=("$option" kns=ydistill) && break
    fi
  done
  case "$tool" in
    memcheck) filter+=(--report-api-errors no) ;;  # cuDNN makes calls that may be refused
    initcheck) filter=() ;;
  esac
  echo "-- compute-sanitizer $tool: $*"
  # With this set the program does not restart itself, which the sanitizer might not follow.
  GOMP_SPINCOUNT=3000 timeout -k 5 60 compute-sanitizer --tool "$tool" "${filter[@]}" --error-exitcode 9 \
    --print-limit 200 "$@" >"$work/sanitizer.$tool.log" 2>&1 || code=$?
  cat "$work/sanitizer.$tool.log"
  if [ "$tool" = initcheck ] && [ "$code" -eq 9 ] &&
    ! grep -qE '^=+ +(at|in) .*ydistill' "$work/sanitizer.$tool.log"; then
    echo "-- none of them in a kernel of ours" && return 0
  fi
  return "$code"
}

stage_sanitizer() {
  needs "$ydistill" "$binaries/bench/bench_step"
  command -v compute-sanitizer >/dev/null 2>&1 || PATH=$PATH:$toolkit/bin:$toolkit/compute-sanitizer
  if ! command -v compute-sanitizer >/dev/null 2>&1; then
    note "compute-sanitizer is not here" && return 1
  fi
  # Some virtual machines do not give it access to the device.
  compute-sanitizer --tool memcheck "$binaries/bench/describe_device" >"$work/sanitizer.probe.log" 2>&1 || true
  if grep -qi 'not supported' "$work/sanitizer.probe.log"; then
    note "compute-sanitizer does not work on this machine: $(grep -i -m 1 'not supported' "$work/sanitizer.probe.log")"
    return 1
  fi
  local step=("$binaries/bench/bench_step" --device cuda --graph yolov5s-v5 --teacher yolov5s-v5 --mode distill
              --size 64 --batch 2 --precision bf16 --steps 1 --warmup 1 --json) tool passed=() failed=()
  local tools=(memcheck racecheck initcheck)
  if [ "$quick" = yes ]; then tools=(memcheck); fi
  for tool in "${tools[@]}"; do
    if sanitize "$tool" "${step[@]}"; then passed+=("$tool"); else failed+=("$tool"); fi
    note "clean: ${passed[*]:-none}; not clean: ${failed[*]:-none}; a distillation step, bf16"
  done
  if [ -e "$data/reference/train_s_m.safetensors" ]; then
    if sanitize memcheck "$ydistill" trace --student "$data/weights/yolov5s-v5-voc20.pt" \
      --teacher-from-batch --batch "$data/reference/train_s_m.safetensors" --case l2 --device cuda \
      --precision fp32 --out "$work/sanitized.safetensors"; then
      passed+=("memcheck of trace l2, fp32")
    else
      failed+=("memcheck of trace l2, fp32")
    fi
    note "clean: ${passed[*]:-none}; not clean: ${failed[*]:-none}; a distillation step, bf16"
  fi
  [ "${#failed[@]}" -eq 0 ]
}

# All our kernels with their bytes and their share of the memory bandwidth.
stage_kernels() {
  needs "$binaries/bench/bench_kernels"
  "$binaries/bench/bench_kernels" | tee "$out/kernels.txt"
  note "in kernels.txt"
}

stage_compare() {
  needs "$binaries/bench/bench_step"
  local status=0 spare=70  # seconds that the comparison leaves: 60 of them are for autotune
  if [ "$quick" = yes ] || [ "$limit" -lt 150 ]; then spare=10; fi
  local arguments=(--ours "$binaries/bench/bench_step" --out "$work/compare" --budget "$((limit - spare))")
  if [ "$quick" = yes ]; then arguments+=(--configs distill-64 --rounds 2); fi
  "$python" bench/compare_gpu.py "${arguments[@]}" || status=$?
  cp "$work"/compare/benchmark.{json,md} "$out/" || status=1
  # PyTorch's cuDNN times its engines, ours above follows the rules; so once more with autotune.
  if [ "$spare" -gt 60 ]; then
    "$python" bench/compare_gpu.py --ours "$binaries/bench/bench_step" --out "$work/compare_autotune" --budget 60 \
      --configs distill-64 --variants ours --rounds 1 --autotune || true
    cp "$work/compare_autotune/benchmark.json" "$out/benchmark_autotune.json" 2>/dev/null || true
  fi
  note "$("$python" - "$work/compare/benchmark.json" <<'PY'
import json, sys
parts = []
for name, config in json.load(open(sys.argv[1]))["configs"].items():
    row = config.get("summary", {})
    ratios = [f"{row['ours_to_' + p]:.2f}x {p}" for p in ("eager", "compile") if "ours_to_" + p in row]
    parts.append(f"{name} " + (", ".join(ratios) or "no ratio"))
print("; ".join(parts))
PY
)"
  # Some numbers of torch.compile may be missing for lack of time, but not the most important ones.
  if [ "$status" -eq 3 ] && grep -qE 'distill-64 [0-9.]+x eager, [0-9.]+x compile' "$work/stages/compare.note"; then
    status=0
  fi
  return "$status"
}

limit_of() {
  case "$1" in
    build) echo 240 ;;
    trace | tests) echo 120 ;;
    sanitizer | suite) echo 240 ;;
    compare) if [ "$quick" = yes ]; then echo 120; else echo 300; fi ;;
    device | kernels) echo 30 ;;
    *) echo 60 ;;
  esac
}

export stage limit out data work binaries ydistill python quick cudnn toolkit architectures
export -f note needs trace_cases count run_tests sanitize "${all_stages[@]/#/stage_}"

say() { echo "$*" | tee -a "$out/gpu_check.txt"; }
say "GPU: ${gpu:-none}; $(nproc) cores; commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown);" \
  "$(date -u +%Y-%m-%dT%H:%MZ)"
any_failed=no
: >"$work/stages/list"
for stage in "${all_stages[@]}"; do
  [[ " ${stages[*]} " == *" $stage "* ]] || continue
  left=$((budget - (SECONDS - begin)))
  limit=$(limit_of "$stage")
  if [ "$limit" -gt "$left" ]; then limit=$left; fi
  start=$SECONDS
  status=passed
  if [ "$limit" -lt 5 ]; then
    status="not run"
    echo "no time left" >"$work/stages/$stage.note"
  else
    printf '\n==== %s, at most %d s\n' "$stage" "$limit" >>"$out/log.txt"
    code=0
    timeout -k 10 "$limit" bash -euo pipefail -c "stage_$stage" </dev/null >"$work/stages/$stage.log" 2>&1 ||
      code=$?
    case "$code" in
      0) ;;
      124 | 137) status="timed out" ;;
      *) status=failed ;;
    esac
    cat "$work/stages/$stage.log" >>"$out/log.txt"
  fi
  [ "$status" = passed ] || any_failed=yes
  message=$(cat "$work/stages/$stage.note" 2>/dev/null || true)
  if [ -z "$message" ]; then message=$(grep -v '^ *$' "$work/stages/$stage.log" | tail -n 1 | cut -c1-300 || true); fi
  say "$(printf '%-10s %-9s %4d s  %s' "$stage" "$status" $((SECONDS - start)) "$message")"
  printf '%s\t%s\t%d\t%d\t%s\n' "$stage" "$status" $((SECONDS - start)) "$limit" "$message" >>"$work/stages/list"
done

{
  while IFS=$'\t' read -r stage status _; do
    if [ "$status" = failed ] || [ "$status" = "timed out" ]; then
      printf '\n---- the end of %s\n' "$stage"
      tail -n 40 "$work/stages/$stage.log"
    fi
  done <"$work/stages/list"
  if [ -f "$out/benchmark.md" ]; then printf '\n' && cat "$out/benchmark.md"; fi
} >>"$out/gpu_check.txt"

GPU=$gpu SECONDS_ALL=$((SECONDS - begin)) COMMIT=$(git rev-parse HEAD 2>/dev/null || true) \
  "$python" - "$work/stages" "$out" >"$out/gpu_check.json" <<'PY'
import datetime, json, os, pathlib, platform, subprocess, sys

folder, out = map(pathlib.Path, sys.argv[1:])
stages = []
for line in (folder / "list").read_text().splitlines():
    name, status, seconds, limit, message = line.split("\t", 4)
    stage = {"stage": name, "status": status, "seconds": int(seconds), "limit_s": int(limit), "note": message}
    for path in sorted(folder.glob(f"{name}.*.json")):
        stage.setdefault("numbers", {})[path.stem.split(".", 1)[1]] = json.loads(path.read_text())
    stages.append(stage)
if (out / "benchmark.json").exists():
    for stage in stages:
        if stage["stage"] == "compare":
            stage["numbers"] = json.loads((out / "benchmark.json").read_text())
try:
    import torch
    torch_version = torch.__version__
except ImportError:
    torch_version = None
nvcc = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=False).stdout.splitlines()
json.dump({"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
           "commit": os.environ["COMMIT"], "gpu": os.environ["GPU"], "cores": os.cpu_count(),
           "system": platform.platform(), "nvcc": nvcc[-2] if len(nvcc) > 1 else None, "torch": torch_version,
           "seconds": int(os.environ["SECONDS_ALL"]),
           "passed": all(s["status"] == "passed" for s in stages), "stages": stages}, sys.stdout, indent=1)
print()
PY
say "$((SECONDS - begin)) s in all; results in $out"
[ "$any_failed" = no ]
