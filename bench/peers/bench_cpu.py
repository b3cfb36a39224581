#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ydistill on the CPU beside its peers, in turns, in one run.

  python bench/peers/bench_cpu.py build/cpu-release/bench/bench_step [--quick] [--only train|infer]
                                  [--json FILE]

Run it with a Python that has the peers (bench/peers/requirements.txt); missing ones are reported
and skipped. Every side is a process that has built its network and warmed up; they take turns of a
few steps while the others sleep. Printed: the median over the rounds, the ratio to ydistill's time
in the same round with its range (above 1: ydistill is faster), the share of the peak that
bench_machine measures just before, and the peak resident memory, while stepping and over the whole
life of the process. docs/performance.md explains the figures. Answers are compared before they are
timed. Exit code 1 if ydistill failed or a side gave a wrong answer.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from worker import Failed, Parser, Worker, last_line

PEERS = Path(__file__).resolve().parent
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "opencv": "OpenCV DNN"}
COMPILERS = {"off": "eager", "default": "compile", "freeze": "compile, frozen", "jit": "TorchScript"}
# Root mean square of the difference over the standard deviation, mean of the columns. Unrelated
# answers have about 1.4; an untrained network multiplies the rounding error of its type by a few
# hundred. int8 is not judged.
TOLERANCE = {"fp32": 1e-3, "bf16": 0.25, "int8": float("inf")}
ALONE = 3600.0  # seconds a side may take to get ready: torch.compile is slow


def parse():
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("ours", help="the program build/.../bench/bench_step")
    parser.add_argument("--quick", action="store_true",
                        help="one training and one inference configuration, fewer rounds")
    parser.add_argument("--only", choices=("train", "infer"))
    parser.add_argument("--json", type=Path, help="write everything there, after each configuration")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--student", default="yolov5s-v5")
    parser.add_argument("--teacher", default="yolov5m-v5")
    parser.add_argument("--train-sizes", default="320x8,640x2", help="pixels x pictures")
    parser.add_argument("--graphs", default="yolov5n,yolov5s,yolov5m", help="for inference")
    parser.add_argument("--infer-sizes", default="640x1,640x8")
    parser.add_argument("--peers", default="torch,onnxruntime,openvino,opencv")
    parser.add_argument("--compilers", default=",".join(COMPILERS), help="of PyTorch, where they apply")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--turn", type=float, default=2.0, help="seconds a turn of one side lasts, about")
    parser.add_argument("--one-peer", action="store_true",
                        help="one peer at a time beside ydistill, where memory is short")
    parser.add_argument("--passive", action="store_true",
                        help="threads sleep while they wait, for a machine with other work on it")
    options = parser.parse_args()
    for name in ("precisions", "graphs", "peers", "compilers"):
        setattr(options, name, getattr(options, name).split(","))
    for name in ("train_sizes", "infer_sizes"):
        try:
            pairs = [tuple(map(int, pair.split("x"))) for pair in getattr(options, name).split(",")]
        except ValueError:
            pairs = [()]
        if any(len(pair) != 2 or min(pair) < 1 or pair[0] % 32 for pair in pairs):
            parser.error(f"--{name.replace('_', '-')}: expected pairs like 320x8, sides multiples of 32, "
                         f"got {getattr(options, name)!r}")
        setattr(options, name, pairs)
    for name, known in (("precisions", TOLERANCE), ("peers", ["torch", *RUNTIMES]), ("compilers", COMPILERS)):
        unknown = [c for c in getattr(options, name) if c not in known]
        if unknown:
            parser.error(f"--{name}: no {unknown[0]!r}; there are {', '.join(known)}")
    if options.quick:
        options.train_sizes, options.infer_sizes = options.train_sizes[:1], options.infer_sizes[:1]
        options.graphs = options.graphs[1:2] or options.graphs
    options.rounds = options.rounds or (3 if options.quick else 7)
    if min(options.rounds, options.threads) < 1:
        parser.error("--rounds and --threads are at least 1")
    if not Path(options.ours).is_file():
        parser.error(f"{options.ours} is not there; build the preset cpu-release")
    return options


def configurations(options):
    """The most informative first: a run may be stopped early."""
    found = []
    if options.only != "infer":
        for mode in ("distill",) if options.quick else ("distill", "train"):
            for size, batch in options.train_sizes:
                found += [dict(mode=mode, graph=options.student, size=size, batch=batch, precision=p,
                               teacher=options.teacher if mode == "distill" else "")
                          for p in options.precisions if p != "int8"]
    if options.only != "train":
        for size, batch in options.infer_sizes:
            for graph in options.graphs:
                found += [dict(mode="infer", graph=graph, size=size, batch=batch, precision=p, teacher="")
                          for p in options.precisions]
    return found


def title(config):
    what = {"distill": "distillation step", "train": "training step", "infer": "inference"}[config["mode"]]
    teacher = f" from {config['teacher']}" if config["teacher"] else ""
    return (f"{what}, {config['graph']}{teacher}, {config['size']} px, batch {config['batch']}, "
            f"{config['precision']}")


def commands(options, config, folder):
    """Name and command of every side; ours first."""
    dump = lambda name: ["--dump", str(folder / f"{name}.f32")] if config["mode"] == "infer" else []
    size = ["--size", str(config["size"]), "--batch", str(config["batch"])]
    pictures = ["--pictures", str(folder / "pictures.rgb")]
    teacher = ["--teacher", config["teacher"]] if config["teacher"] else []
    weights = ["--weights", str(folder / "weights.safetensors")] if config["mode"] == "infer" else []
    ours = [options.ours, *size, *pictures, *weights, *teacher, "--graph", config["graph"], "--device", "cpu",
            "--precision", config["precision"], "--warmup", "3", "--on-request"]
    found = {"ydistill": ours + ["--mode", config["mode"]] + dump("ydistill")}
    if config["mode"] != "infer":
        found["bare convolutions"] = ours + ["--mode", "convs"]
    if "torch" in options.peers and config["precision"] != "int8":
        layouts = ("contiguous", "channels_last") if config["mode"] != "infer" else ("channels_last",)
        for compiler in options.compilers:
            if config["mode"] != "infer" and compiler in ("freeze", "jit"):
                continue
            for layout in layouts:
                name = f"PyTorch {COMPILERS[compiler]}, {layout}"
                found[name] = [
                    sys.executable, str(PEERS / "bench_torch.py"), *size, *pictures, *weights, *teacher,
                    "--graph", config["graph"], "--mode", config["mode"], "--device", "cpu", "--rounds",
                    "--warmup", "3", "--compile", compiler, "--threads", str(options.threads),
                    "--amp", "bf16" if config["precision"] == "bf16" else "off", *dump(name),
                    *(["--channels-last"] if layout == "channels_last" else [])]
    if config["mode"] == "infer":
        for runtime in (r for r in RUNTIMES if r in options.peers):
            found[RUNTIMES[runtime]] = [
                sys.executable, str(PEERS / "bench_runtime.py"), "--runtime", runtime, "--folder", str(folder),
                *size, "--precision", config["precision"], "--threads", str(options.threads),
                *dump(RUNTIMES[runtime])]
    return found


def environment(options):
    env = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    if options.passive:
        env.update(OMP_WAIT_POLICY="passive", KMP_BLOCKTIME="0")
    return env


def prepare(options, config, folder):
    """Pictures, and for inference weights, the ONNX file and the expected answer."""
    if config["mode"] == "infer":
        if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False).returncode:
            raise Failed("not run: PyTorch, which writes the network that all sides load, is not installed")
        rounded = ["--rounded"] if config["precision"] == "bf16" else []
        with open(folder / "prepare.log", "w") as log:
            done = subprocess.run([sys.executable, str(PEERS / "prepare_infer.py"), "--graph", config["graph"],
                                   "--size", str(config["size"]), "--batch", str(config["batch"]), "--out",
                                   str(folder), *rounded], stdout=log, stderr=log, check=False)
        if done.returncode:
            raise Failed(f"not run: {last_line(folder / 'prepare.log')}")
        return
    import random
    amount = config["batch"] * config["size"] ** 2 * 3
    (folder / "pictures.rgb").write_bytes(random.Random(7).randbytes(amount))


def disagreement(config, folder, name):
    """How far an answer is from the expected one; see TOLERANCE."""
    import numpy as np
    cells = [(config["size"] // stride) ** 2 for stride in (8, 16, 32)]
    read = lambda file: np.fromfile(folder / file, np.float32).reshape(config["batch"], 3 * sum(cells), -1)
    expected, got = read("expected.f32"), read(f"{name}.f32")
    if name == "ydistill":  # boxes by head, anchor, cell; the others' by head, cell, anchor
        parts = np.split(got, np.cumsum([3 * n for n in cells])[:-1], 1)
        got = np.concatenate([p.reshape(config["batch"], 3, n, -1).swapaxes(1, 2).reshape(config["batch"], 3 * n, -1)
                              for p, n in zip(parts, cells)], 1)
    difference = np.sqrt(((got - expected) ** 2).mean((0, 1))) / expected.std((0, 1))
    return float(difference.mean())


def most_disagreement(config, folder):
    """For a right answer. In bfloat16: twice PyTorch's own, from one to two times the tolerance."""
    known = TOLERANCE[config["precision"]]
    if config["precision"] != "bf16":
        return known
    return min(max(known, 2 * disagreement(config, folder, "rounded")), 2 * known)


def settle(workers):
    """Waits until all processes are idle: threads of the last turn may still spin."""
    used = lambda: sum(w.cpu_seconds() for w in workers)
    before, deadline = used(), time.monotonic() + 3
    while time.monotonic() < deadline:
        time.sleep(0.04)
        now = used()
        if now - before < 0.015:
            return
        before = now


def take_turns(options, config, sides, folder, log):
    """Measures the sides, a mapping of names to commands, against each other; fills each one's row."""
    workers, rows = {}, {}
    try:
        for name, command in sides.items():
            rows[name] = row = {"rounds": []}
            print(f"bench_cpu: {name} gets ready", file=sys.stderr, flush=True)
            try:
                worker = Worker(command, log / f"{name}.log", environment(options))
                workers[name] = worker
                worker.wait_ready(time.monotonic() + ALONE)
                if config["mode"] == "infer":
                    row["disagreement"] = disagreement(config, folder, name)
                    row["most_disagreement"] = most_disagreement(config, folder)
                    if not row["disagreement"] <= row["most_disagreement"]:
                        row["wrong"] = True
                        raise Failed(f"gives another answer than PyTorch in fp32: {row['disagreement']:.3g}")
                ms = statistics.median(worker.measure(time.monotonic() + ALONE, 3)["ms"])
                row["steps"] = max(1, min(100, round(options.turn * 1e3 / ms)))
                row["life_mib"] = worker.peak_mib()
                worker.forget_peak()
            except Failed as error:
                missing = "No module named 'torch'" in str(error)
                row["failed"] = "not installed (pip install torch)" if missing else str(error)
                if name in workers:
                    workers.pop(name).stop()
                if name == "ydistill":
                    return rows
        for number in range(options.rounds):
            names = list(workers)
            for name in names[number % len(names):] + names[:number % len(names)]:
                settle(workers.values())
                try:
                    answer = workers[name].measure(time.monotonic() + ALONE, rows[name]["steps"])
                    rows[name]["rounds"].append(statistics.median(answer.pop("ms")))
                    rows[name]["about"] = answer
                except Failed as error:
                    rows[name]["failed"] = str(error)
                    workers.pop(name).stop()
        for name, worker in workers.items():
            rows[name]["peak_mib"] = worker.peak_mib()
            rows[name]["life_mib"] = max(rows[name]["life_mib"] or 0, rows[name]["peak_mib"] or 0) or None
    finally:
        for worker in workers.values():
            worker.stop()
    ours = rows["ydistill"]["rounds"]
    for row in rows.values():
        if "failed" in row or not row["rounds"]:
            continue
        row["ms"] = statistics.median(row["rounds"])
        if len(ours) == len(row["rounds"]):
            ratios = [a / b for a, b in zip(row["rounds"], ours)]
            row["ratio"], row["ratio_range"] = statistics.median(ratios), [min(ratios), max(ratios)]
            if rows["ydistill"].get("peak_mib") and row.get("peak_mib"):
                row["memory_ratio"] = row["peak_mib"] / rows["ydistill"]["peak_mib"]
    return rows


def machine_limits(options):
    program = Path(options.ours).with_name("bench_machine")
    try:
        done = subprocess.run([str(program), "--json", "--threads", str(options.threads)], capture_output=True,
                              text=True, check=True, env=environment(options))
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        print(f"bench_cpu: {program} gives no limits; shares are left out", file=sys.stderr)
        return {}


def show(config, rows, limits):
    peak = limits.get("f32_gflops")
    if config["precision"] == "bf16":  # without such instructions it computes in float32
        peak = limits.get("amx_gflops") or limits.get("bf16_gflops") or peak
    if config["precision"] == "int8":
        peak = None
    gflop = rows["ydistill"].get("about", {}).get("gflops_per_step")
    number = lambda value, form: "-" if value is None else format(value, form)
    limit = f"; limit {peak:.0f} GFLOP/s" if peak else ""
    print(f"\n{title(config)}{limit}")
    print(f"{'':40}{'ms':>9}{'ratio':>8}  {'(range)':<15}{'share':>7}{'MiB':>8}{'ratio':>7}{'life MiB':>10}")
    for name, row in rows.items():
        if "failed" in row or "ms" not in row:
            kind = "refused" if name in ("ydistill", "bare convolutions") else "skipped"
            print(f"{name:<40}  {kind}: {row.get('failed', 'no answer')}")
            continue
        share = gflop / row["ms"] * 1e3 / peak if gflop and peak else None
        row["gflops"], row["share_of_peak"] = gflop / row["ms"] * 1e3 if gflop else None, share
        low, high = row.get("ratio_range", (None, None))
        spread = f"({number(low, '.2f')} to {number(high, '.2f')})"
        print(f"{name:<40}{row['ms']:9.1f}{number(row.get('ratio'), '.2f'):>8}  {spread:<15}{number(share, '.0%'):>7}"
              f"{number(row.get('peak_mib'), '.0f'):>8}{number(row.get('memory_ratio'), '.2f'):>7}"
              f"{number(row.get('life_mib'), '.0f'):>10}")
    peers = {n: r["ratio"] for n, r in rows.items() if n not in ("ydistill", "bare convolutions") and "ratio" in r}
    if config["precision"] == "int8":  # too coarse to judge answers of an untrained network
        off = ", ".join(f"{n} {r['disagreement']:.2g}" for n, r in rows.items() if "disagreement" in r)
        print(f"answers beside PyTorch's in fp32, not judged: {off}")
    if peers:
        best = min(peers, key=peers.get)
        print(f"against the fastest peer, {best}: {peers[best]:.2f}x")
    imported = [r["about"].get("after_import_mib") for r in rows.values() if "about" in r]
    if any(imported):
        print(f"PyTorch holds {max(m for m in imported if m):.0f} MiB when it is imported, before it has a network")
    sys.stdout.flush()


def run(options, config, log):
    with tempfile.TemporaryDirectory(prefix="bench_cpu_") as name:
        folder = Path(name)
        prepare(options, config, folder)
        sides = commands(options, config, folder)
        if not options.one_peer:
            return take_turns(options, config, sides, folder, log)
        base = {n: c for n, c in sides.items() if n in ("ydistill", "bare convolutions")}
        rows = {}
        for name, command in sides.items():
            if name not in base or len(sides) == len(base):
                found = take_turns(options, config, {**base, name: command}, folder, log)
                rows = {**found, **rows}
                if "failed" in found["ydistill"]:
                    break
        return {name: rows[name] for name in sides if name in rows}


def main():
    options = parse()
    report = {"command": " ".join(sys.argv), "threads": options.threads, "rounds": options.rounds,
              "configurations": []}
    print(f"{options.threads} threads, {options.rounds} rounds; ratios above 1: ydistill is faster, or smaller")
    bad = False

    def keep(result):
        report["configurations"].append(result)
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n")

    with tempfile.TemporaryDirectory(prefix="bench_cpu_logs_") as logs:
        for config in configurations(options):
            limits = machine_limits(options)
            try:
                rows = run(options, config, Path(logs))
            except Failed as error:
                print(f"\n{title(config)}\n  {error}", flush=True)
                keep({**config, "failed": str(error)})
                continue
            show(config, rows, limits)
            refused = "precision:" in rows["ydistill"].get("failed", "")
            bad |= any(r.get("wrong") for r in rows.values()) or ("failed" in rows["ydistill"] and not refused)
            keep({**config, "limits": limits, "sides": rows})
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
