#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From the start of the process to boxes for one picture: `ydistill detect`, and where that time goes.

  python bench/peers/bench_start.py build/cpu-release/tools/ydistill WEIGHTS PICTURE [--repeat 20]
                                    [--precision fp32] [--json FILE]

Every repetition is a new process; its files are in the system's cache. Medians in milliseconds.
"start and end" is the time outside of the stages that the process times itself: loading the program
and its libraries, parsing, the folder, the last document, the exit. "to the boxes" excludes writing
the annotated picture.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("weights")
    parser.add_argument("picture")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--size", default="640")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat is at least 1")
    runs = []
    with tempfile.TemporaryDirectory() as out:
        command = [options.program, "detect", "--weights", options.weights, "--source", options.picture, "--out",
                   out, "--device", "cpu", "--size", options.size, "--precision", options.precision, "--json",
                   "--timing"]
        for _ in range(options.repeat + 1):  # the first fills the caches
            begin = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            whole = (time.perf_counter() - begin) * 1e3
            if done.returncode:
                sys.exit(f"bench_start: {done.stderr.strip().splitlines()[-1]}")
            document = json.loads(done.stdout)
            stages = document["timing_ms"]
            runs.append({**stages, "start and end": whole - sum(stages.values()),
                         "to the boxes": whole - stages.get("write", 0), "whole process": whole})
    runs = runs[1:]
    medians = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
    boxes = sum(len(image["detections"]) for image in document["images"])
    print(f"{Path(options.weights).name}, {Path(options.picture).name}, {options.size} px, {boxes} boxes, "
          f"median of {options.repeat} processes")
    for stage, ms in medians.items():
        values = [run[stage] for run in runs]
        print(f"{stage:<16}{ms:9.1f} ms   ({min(values):.1f} to {max(values):.1f})")
    if options.json:
        options.json.write_text(json.dumps({"medians_ms": medians, "runs": runs}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
