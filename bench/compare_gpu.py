#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ydistill against PyTorch on one GPU, in turns, in one run.

  bench/compare_gpu.py [--out FOLDER] [--budget SECONDS] [--configs distill-64,train-64,...]

For each configuration PyTorch's two variants (eager with bf16 autocast and channels_last; the same
under torch.compile) are started and warmed up, then all three take turns for several rounds.
Reported are medians over the rounds; ratios are taken within a round. If time is short,
torch.compile, which takes a minute or more to warm up, is left out first. Writes benchmark.json and
benchmark.md into FOLDER and prints the table. Exit code 1 if something failed, 3 if results are
missing only for lack of time.
"""
import datetime
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench/peers"))
from worker import OUT_OF_TIME, Failed, Parser, Worker, last_line  # noqa: E402

# The most informative first: time may run out.
CONFIGS = {"distill-64": ("distill", 64), "train-64": ("train", 64), "distill-16": ("distill", 16),
           "train-16": ("train", 16), "infer-1": ("infer", 1), "infer-32": ("infer", 32)}
VARIANTS = ("ours", "eager", "compile")


# Estimated seconds for a configuration, until one has been measured.
FIRST_GUESS = {"with compile": 120.0, "without": 30.0}


def parse():
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", default=str(ROOT / "build/cuda-release/bench/bench_step"))
    parser.add_argument("--out", default="out/compare_gpu")
    parser.add_argument("--budget", type=float, default=540, help="seconds for everything")
    parser.add_argument("--configs", default=",".join(CONFIGS))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--compile-mode", default="default",
                        choices=("default", "reduce-overhead", "max-autotune"))
    parser.add_argument("--student", default="yolov5s-v5")
    parser.add_argument("--teacher", default="yolov5m-v5")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--precision", choices=("bf16", "tf32", "fp32"), default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--autotune", action="store_true", help="let ours time its plans first")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, help="instead of each configuration's own, for trying this out")
    options = parser.parse_args()
    for name, known in (("configs", CONFIGS), ("variants", VARIANTS)):
        chosen = getattr(options, name).split(",")
        unknown = [c for c in chosen if c not in known]
        if unknown:
            parser.error(f"--{name}: no {unknown[0]!r}; there are {', '.join(known)}")
        setattr(options, name, chosen)
    if options.rounds < 1 or options.steps < 1:
        parser.error("--rounds and --steps are at least 1")
    if "ours" in options.variants and not Path(options.ours).is_file():
        parser.error(f"{options.ours} is not there; build the preset cuda-release, or name another by --ours")
    return options


def torch_command(options, mode, batch):
    command = [sys.executable, str(ROOT / "bench/peers/bench_torch.py"), "--graph", options.student,
               "--mode", mode, "--batch", str(batch), "--size", str(options.size),
               "--steps", str(options.steps), "--device", options.device, "--channels-last"]
    if mode == "distill":
        command += ["--teacher", options.teacher]
    if options.precision == "bf16":
        command += ["--amp", "bf16"]
    return command + (["--tf32"] if options.precision == "tf32" else [])


class Ours:
    """ydistill's benchmark, a new process each time."""

    def __init__(self, options, mode, batch, log):
        self.log = log
        self.command = [options.ours, "--device", options.device, "--graph", options.student, "--mode", mode,
                        "--size", str(options.size), "--batch", str(batch), "--precision", options.precision,
                        "--steps", str(options.steps), "--json"]
        if options.autotune:
            self.command.append("--autotune")
        if mode == "distill":
            self.command += ["--teacher", options.teacher]

    def wait_ready(self, deadline):
        pass

    def measure(self, deadline):
        try:
            with open(self.log, "a") as log:
                done = subprocess.run(self.command, stdout=subprocess.PIPE, stderr=log, text=True, check=False,
                                      timeout=max(1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failed(OUT_OF_TIME) from None
        except OSError as error:
            raise Failed(str(error)) from None
        if done.returncode != 0:
            raise Failed(last_line(self.log))
        try:
            result = json.loads(done.stdout)
            return {**result, "images_per_second": float(result["images_per_second"])}
        except (ValueError, KeyError, TypeError):
            raise Failed(f"not the JSON that was expected: {done.stdout[:120]!r}") from None

    def stop(self):
        pass


def run_config(options, name, variants, deadline, logs):
    """Measurements of each variant, or the reason why it has none."""
    mode, batch = CONFIGS[name]
    batch = options.batch or batch
    runners, failed = {}, {v: OUT_OF_TIME for v in options.variants if v not in variants}
    results = {v: [] for v in variants}
    try:
        for variant in variants:
            log = logs / f"{name}-{variant}.log"
            log.write_text("")
            if variant == "ours":
                runners[variant] = Ours(options, mode, batch, log)
            else:
                extra = ["--compile", options.compile_mode] if variant == "compile" else []
                runners[variant] = Worker(torch_command(options, mode, batch) + ["--rounds"] + extra, log)

        def attempt(variant, action):
            if variant in failed:
                return None
            try:
                return action()
            except Failed as error:
                failed[variant] = str(error)
                return None

        for variant, runner in runners.items():
            attempt(variant, lambda r=runner: r.wait_ready(deadline))
        for _ in range(options.rounds):
            for variant, runner in runners.items():
                result = attempt(variant, lambda r=runner: r.measure(deadline))
                results[variant].append(result)
    finally:
        for runner in runners.values():
            runner.stop()
    return {"mode": mode, "batch": batch, "results": results, "failed": failed}


def summarise(config, limits):
    """Medians of a configuration: what the table shows."""
    row = {}
    results = config["results"]
    for variant, runs in results.items():
        rates = [r["images_per_second"] for r in runs if r]
        if rates:
            row[variant] = statistics.median(rates)
            row[f"{variant}_spread"] = [min(rates), max(rates)]
    for peer in ("eager", "compile"):
        pairs = [a["images_per_second"] / b["images_per_second"]
                 for a, b in zip(results.get("ours", []), results.get(peer, [])) if a and b]
        if pairs:
            row[f"ours_to_{peer}"] = statistics.median(pairs)
    peaks = {"ours": "peak_device_mib", "eager": "peak_allocated_mib", "compile": "peak_allocated_mib"}
    for variant, key in peaks.items():
        found = [r[key] for r in results.get(variant, []) if r and r.get(key) is not None]
        if found:
            row[f"{variant}_peak_mib"] = max(found)
    ours = [r for r in results.get("ours", []) if r]
    if ours and ours[0].get("gflops_per_step"):
        row["gflops_per_step"] = ours[0]["gflops_per_step"]
        stated = [r["share_of_arithmetic_peak"] for r in ours if r.get("share_of_arithmetic_peak") is not None]
        if stated:
            row["share_of_arithmetic_peak"] = statistics.median(stated)
        if limits:
            for variant in ("ours", "eager", "compile"):
                if variant in row:
                    tflops = row["gflops_per_step"] / config["batch"] * row[variant] / 1e3
                    row[f"{variant}_share_of_product"] = tflops / limits["matmul_bf16_tflops"]
    return row


def table(report):
    number = lambda row, key, form: format(row[key], form) if key in row else "-"
    lines = ["| configuration | ydistill, images/s | PyTorch eager | torch.compile | to eager | to compile "
             "| peak MiB (ydistill, eager, compile) | share of a bf16 matrix product (the same) |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, config in report["configs"].items():
        if "skipped" in config:
            lines.append(f"| {name} | {config['skipped']} | | | | | | |")
            continue
        row = config["summary"]
        peaks = ", ".join(number(row, f"{v}_peak_mib", ".0f") for v in VARIANTS)
        shares = ", ".join(number(row, f"{v}_share_of_product", ".1%") for v in VARIANTS)
        rates = [number(row, v, ".1f") for v in VARIANTS]
        ratios = [number(row, f"ours_to_{p}", ".2f") for p in ("eager", "compile")]
        lines.append(f"| {name} | {' | '.join(rates)} | {' | '.join(ratios)} | {peaks} | {shares} |")
    return "\n".join(lines)


def ask(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
        return done.stdout.strip() if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired):
        return None


def measure_limits(options):
    text = ask([sys.executable, str(ROOT / "bench/peers/bench_torch.py"), "--mode", "limits", "--device",
                options.device])
    return json.loads(text) if text else None


def main():
    options = parse()
    begin = time.monotonic()
    deadline = begin + options.budget
    out = Path(options.out)
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    limits = measure_limits(options)
    report = {"date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
              "command": " ".join(sys.argv), "commit": ask(["git", "rev-parse", "HEAD"]),
              "driver": ask(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]),
              "student": options.student, "teacher": options.teacher, "size": options.size,
              "precision": options.precision, "compile_mode": options.compile_mode, "limits": limits, "configs": {}}
    reasons = []
    guess = dict(FIRST_GUESS)
    for done, name in enumerate(options.configs):
        start = time.monotonic()
        rest = (len(options.configs) - done - 1) * guess["without"]
        variants = list(options.variants)
        if "compile" in variants and start + guess["with compile"] + rest > deadline:
            variants.remove("compile")
        if not variants or start + guess["without"] / 2 > deadline:
            report["configs"][name] = {"skipped": OUT_OF_TIME}
            reasons.append(OUT_OF_TIME)
            continue
        config = run_config(options, name, variants, deadline, logs)
        config["summary"] = summarise(config, limits)
        config["seconds"] = round(time.monotonic() - start, 1)
        kind = "with compile" if "compile" in variants else "without"
        guess[kind] = max(config["seconds"], guess[kind] if guess[kind] != FIRST_GUESS[kind] else 0)
        report["configs"][name] = config
        for variant, reason in config["failed"].items():
            reasons.append(reason)
            print(f"compare_gpu: {name}, {variant}: {reason}", file=sys.stderr, flush=True)
        (out / "benchmark.json").write_text(json.dumps(report, indent=1) + "\n")
    first = [r for c in report["configs"].values() for runs in c.get("results", {}).values() for r in runs if r]
    versions = next((f"PyTorch {r['torch']}, cuDNN {r['cudnn']}" for r in first if "torch" in r), "no PyTorch")
    device = report["driver"] or next((r["device"] for r in first if "device" in r), options.device)
    about = (f"{report['date']}, {device}, {options.precision}, {options.size} px, student {options.student}, "
             f"teacher {options.teacher}; {versions}; median of {options.rounds} rounds of {options.steps} steps.")
    if limits:
        about += (f" A bf16 matrix product ran at {limits['matmul_bf16_tflops']:.0f} TFLOP/s, a copy at "
                  f"{limits['copy_gb_per_second']:.0f} GB/s.")
    text = f"{about}\n\n    {report['command']}\n\n{table(report)}\n"
    (out / "benchmark.md").write_text(text)
    (out / "benchmark.json").write_text(json.dumps(report, indent=1) + "\n")
    print(text)
    return 0 if not reasons else 3 if set(reasons) == {OUT_OF_TIME} else 1


if __name__ == "__main__":
    sys.exit(main())
