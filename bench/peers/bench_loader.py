#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Training samples a second of one core: YOLOv5's own loader beside ours, alternately, in one run.

    bench_loader.py OURS PICTURES [--size 640] [--pairs 5] [--epochs 2]

OURS      the program build/.../bench/bench_loader
PICTURES  a YOLO folder of pictures (.../images/train), its labels in .../labels/train

Both keep their pictures decoded in memory and make the default recipe (mosaic, affine, HSV, flip), in
one thread without worker processes. Rates are pictures per second of this process's CPU time, so that
other programs on the machine do not count; wall time is printed besides.

Needs the packages yolov5 (7.x; GPL, used as installed, no part of it is here), torch and
opencv-python-headless. What yolov5 imports without need for its loader is replaced by empty modules.
"""
import argparse
import importlib.machinery
import importlib.util
import json
import logging
import statistics
import subprocess
import sys
import time
import types

HYP = dict(hsv_h=0.015, hsv_s=0.7, hsv_v=0.4, degrees=0.0, translate=0.1, scale=0.5, shear=0.0,
           perspective=0.0, flipud=0.0, fliplr=0.5, mosaic=1.0, mixup=0.0, copy_paste=0.0)


class Absent(types.ModuleType):
    """A module that has every attribute."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name[0].isupper():  # a class, which others may derive from
            return type(name, (), {"__init__": lambda self, *args, **kwargs: None})
        return Absent(f"{self.__name__}.{name}")

    def __call__(self, *args, **kwargs):
        return self


class AbsentFinder:
    """Finds only stand-ins, for packages that are not installed."""

    allowed = ("torchvision", "pandas", "seaborn", "matplotlib", "thop", "IPython", "psutil", "fire", "boto3",
               "sahi", "huggingface_hub", "roboflow", "requests", "git", "scipy", "tqdm", "ultralytics",
               "tensorboard", "comet_ml", "clearml", "wandb")

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.allowed:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Absent(spec.name)

    def exec_module(self, module):
        pass


def peer_dataset(pictures, size):
    sys.meta_path.append(AbsentFinder())
    import cv2
    import torch
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    package = types.ModuleType("yolov5")  # without running its __init__, which imports all of it
    package.__path__ = list(importlib.util.find_spec("yolov5").submodule_search_locations)
    sys.modules["yolov5"] = package
    from yolov5.utils.dataloaders import LoadImagesAndLabels
    logging.disable(logging.CRITICAL)
    dataset = LoadImagesAndLabels(pictures, size, batch_size=16, augment=True, hyp=HYP, rect=False,
                                  cache_images="ram", stride=32)
    return dataset, cv2.__version__


def peer_rate(dataset, epochs):
    start, cpu = time.perf_counter(), time.process_time()
    count = 0
    for _ in range(epochs):
        batch = []
        for i in range(len(dataset)):
            batch.append(dataset[i])
            if len(batch) == 16 or i + 1 == len(dataset):
                dataset.collate_fn(batch)
                count += len(batch)
                batch = []
    return {"per_second": count / (time.perf_counter() - start),
            "per_cpu_second": count / (time.process_time() - cpu)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours")
    parser.add_argument("pictures")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()

    dataset, opencv = peer_dataset(args.pictures, args.size)
    peer_rate(dataset, 1)
    peers, ours = [], []
    for _ in range(args.pairs):
        peers.append(peer_rate(dataset, args.epochs))
        command = [args.ours, args.pictures, "--size", str(args.size), "--epochs", str(3 * args.epochs)]
        ours.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(f"{len(dataset)} pictures, samples of {args.size}x{args.size}, one thread, median of {args.pairs}")
    for name, rates in ((f"yolov5, OpenCV {opencv}", peers), (f"ydistill, {ours[0]['cpu']}", ours)):
        cpu = statistics.median(r["per_cpu_second"] for r in rates)
        wall = statistics.median(r["per_second"] for r in rates)
        print(f"{name:28} {cpu:8.1f} pictures/s of CPU time   {wall:8.1f} of wall time")
    ratios = [o["per_cpu_second"] / p["per_cpu_second"] for o, p in zip(ours, peers)]
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
