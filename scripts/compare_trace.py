#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what `ydistill trace` wrote with the recorded reference. Needs NumPy.

  scripts/compare_trace.py [--relative LIMIT] [--json FILE] REFERENCE CASE=TRACE [CASE=TRACE ...]

Without --relative every tensor must be within its limit: ten times the original's own float32
noise, but at least 5e-6 of its largest entry (in heads, box, objectness and class columns each on
their own scale). With it (bf16, tf32) the norm of the difference, as a share of the reference's
norm, must not exceed LIMIT in any group of tensors. Both are always printed. Exit code 1 if a limit
is exceeded.
"""
import argparse
import json
import struct
import sys

import numpy as np

DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32,
          "U8": np.uint8, "BOOL": np.bool_}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"compare_trace: {message}", file=sys.stderr)
        sys.exit(2)


def read_safetensors(path):
    """Tensors and metadata of a file."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        body = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def columns_of(name):
    if "head" in name or "decoded" in name:
        return (slice(0, 4), slice(4, 5), slice(5, None))
    return (slice(None),)


def group_of(name):
    for part in ("grad_head", "head", "decoded", "loss", "distill_terms", "param_grad_norms", "grad.", "bn_after"):
        if part in name:
            return part.rstrip(".")
    return "other"


def compare(reference, noise, case, trace):
    """Largest share of a limit, the tensor that has it, and the relative error of each group."""
    worst, where, count = 0.0, "", 0
    squares = {}
    for name, wanted in reference.items():
        short = name if name.startswith("student.") else name.removeprefix(f"{case}.")
        if not name.startswith((f"{case}.", "student.")) or ".layer" in name:
            continue
        if short not in trace:
            raise ValueError(f"{case}: the trace has no {short}")
        got, wanted = trace[short].astype(np.float64), wanted.astype(np.float64)
        if got.shape != wanted.shape:
            raise ValueError(f"{case}: {short} is {got.shape}, recorded {wanted.shape}")
        count += 1
        for columns in columns_of(name):
            a, b = got[..., columns], wanted[..., columns]
            error = float(np.abs(a - b).max(initial=0))
            limit = max(10 * noise.get(name, 0.0), 5e-6 * float(np.abs(b).max(initial=0)))
            share = 0.0 if error == 0 else error / limit if limit > 0 else float("inf")
            if not share <= worst:
                worst, where = share if share == share else float("inf"), name
        total = squares.setdefault(group_of(short), [0.0, 0.0])
        total[0] += float(((got - wanted) ** 2).sum())
        total[1] += float((wanted**2).sum())
    relative = {g: float(np.sqrt(d / n)) if n > 0 else float(d > 0) for g, (d, n) in squares.items()}
    return {"tensors": count, "share": worst, "where": where, "relative": relative}


def main():
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--relative", type=float)
    parser.add_argument("--json")
    parser.add_argument("reference")
    parser.add_argument("traces", nargs="+", metavar="CASE=TRACE")
    options = parser.parse_args()
    reference, metadata = read_safetensors(options.reference)
    noise, cases = json.loads(metadata["noise"]), json.loads(metadata["cases"])
    report, passed = {}, True
    for pair in options.traces:
        case, _, path = pair.partition("=")
        if case not in cases or not path:
            parser.error(f"{pair!r}: expected CASE=TRACE with a case of {', '.join(cases)}")
        trace, _ = read_safetensors(path)
        result = report[case] = compare(reference, noise, case, trace)
        groups = ", ".join(f"{g} {e:.2e}" for g, e in result["relative"].items())
        print(f"{case:<10} {result['tensors']:>3} tensors, largest share of a limit {result['share']:.3f} "
              f"({result['where']}); relative errors: {groups}")
        if options.relative is None:
            passed = passed and result["share"] <= 1
        else:
            passed = passed and all(e <= options.relative for e in result["relative"].values())
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=1)
    return 0 if passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError, struct.error) as error:
        sys.exit(f"compare_trace: {error}")
