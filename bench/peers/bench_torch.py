#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A training step or inference of PyTorch on the graphs of torch_yolov5.py, timed.

  bench/peers/bench_torch.py --graph yolov5s-v5 --teacher yolov5m-v5 --mode distill --batch 64 \\
      --amp bf16 --channels-last

Prints one JSON line. A step is what ydistill's bench_step times: uint8 pictures resident on the
device to the network's input, forward, losses, backward, clipping norm, SGD with Nesterov momentum in
three groups, moving average; distill adds the frozen teacher with batch norm folded. infer is
pictures to decoded boxes with batch norm folded, without NMS. Steps follow each other without
waiting, timed by device events: images per second over all of them, and the median step. limits
measures the device's peak: a large bf16 matrix product and a large copy, counting bytes read and
written.
--rounds   after warming up, prints a line "ready", then runs one measurement per line of standard
           input, with the number of steps in that line, or --steps; each is answered by one JSON
           line, so that several programs can take turns (worker.py)
--compile  freeze: also makes the weights constants of the program, for inference; jit: instead of
           torch.compile, a traced and frozen TorchScript program, for inference
"""
import contextlib
import json
import os
import statistics
import sys
import time

import torch

from torch_yolov5 import Boxes, DetectionLoss, DistillLoss, YoloV5, read_pictures, resident_mib
from worker import Parser

AFTER_IMPORT_MIB = resident_mib()
COMPILERS = ("off", "default", "reduce-overhead", "max-autotune", "freeze", "jit")


def parse():
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", default="yolov5s-v5")
    parser.add_argument("--teacher", default="", help="graph of the teacher, needed by --mode distill")
    parser.add_argument("--mode", choices=("train", "distill", "infer", "limits"), default="train")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--loss", choices=("l2", "kl", "bce"), default="l2", help="distillation loss")
    parser.add_argument("--amp", choices=("bf16", "off"), default="off")
    parser.add_argument("--tf32", action="store_true", help="float32 convolutions may use tf32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", nargs="?", const="default", default="off",
                        choices=COMPILERS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--rounds", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="on the CPU; 0: as PyTorch chooses")
    parser.add_argument("--weights", default="", help=".safetensors, instead of fresh ones")
    parser.add_argument("--pictures", default="", help="raw RGB bytes of a batch, instead of grey ones")
    parser.add_argument("--dump", default="", help="infer: write the decoded boxes there, raw float32")
    options = parser.parse_args()
    if options.mode == "distill" and not options.teacher:
        parser.error("--mode distill needs --teacher")
    if options.size % 32 != 0 or options.size <= 0:
        parser.error(f"--size {options.size}: expected a multiple of 32")
    if min(options.batch, options.classes, options.steps) < 1 or options.warmup < 0:
        parser.error("--batch, --classes and --steps are at least 1, --warmup at least 0")
    if options.dump and (options.mode != "infer" or options.warmup < 1):
        parser.error("--dump goes with --mode infer and --warmup of at least 1")
    if options.compile in ("freeze", "jit") and options.mode != "infer":
        parser.error(f"--compile {options.compile} is for --mode infer")
    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch sees no GPU")
    return options


class Average:
    """Moving average of parameters and running statistics."""

    def __init__(self, model):
        self.live = [t for t in model.state_dict().values() if t.is_floating_point()]
        self.kept = [t.clone() for t in self.live]

    @torch.no_grad()
    def update(self, decay):
        torch._foreach_lerp_(self.kept, self.live, 1 - decay)


def make_optimizer(model, device):
    decayed, plain, biases = [], [], []
    for name, p in model.named_parameters():
        group = biases if name.endswith("bias") else decayed if p.ndim > 1 else plain
        group.append(p)
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": decayed}, {"params": biases, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=1e-4, momentum=0.937, nesterov=True, weight_decay=5e-4,
                           fused=True)


def make_step(options, device):
    """A function without arguments that runs one step and does not wait for it."""
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    if options.pictures:
        pictures = read_pictures(options.pictures, options.batch, options.size).to(device)
    else:
        pictures = torch.full((options.batch, 3, options.size, options.size), 114, dtype=torch.uint8, device=device)
    pictures = pictures.to(memory_format=layout)
    rows = [[i, k, 0.2 + 0.15 * k, 0.5, 0.1 * (k + 1), 0.2] for i in range(options.batch)
            for k in range(min(4, options.classes))]
    targets = torch.tensor(rows, device=device)
    plain = options.compile in ("off", "jit")
    mode = "default" if options.compile == "freeze" else options.compile
    compiled = (lambda f: f) if plain else lambda f: torch.compile(f, mode=mode)
    bf16 = options.amp == "bf16"
    autocast = lambda: torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()

    def frozen(net):
        net = net.eval().fold().requires_grad_(False).to(device, memory_format=layout)
        return net.to(torch.bfloat16) if bf16 else net

    model = YoloV5(options.graph, options.classes)
    if options.weights:
        model.load(options.weights)
    if options.mode == "infer":
        detector = Boxes(frozen(model), torch.bfloat16 if bf16 else torch.float32).to(device).eval()
        if options.compile == "jit":
            with torch.no_grad():
                traced = torch.jit.freeze(torch.jit.trace(detector, pictures, check_trace=False))
                boxes = torch.jit.optimize_for_inference(traced)
        else:
            if options.compile == "freeze":
                torch._inductor.config.freezing = True
            boxes = compiled(detector)

        def infer():
            # freezing looks for no_grad and does not know inference_mode
            with torch.no_grad() if options.compile == "freeze" else torch.inference_mode():
                return boxes(pictures)

        return infer

    def network_input():
        return pictures.to(torch.bfloat16 if bf16 else torch.float32) / 255

    model = model.to(device, memory_format=layout).train()
    heads_n = 3
    gains = {"box": 0.05 * 3 / heads_n, "obj": (options.size / 640) ** 2 * 3 / heads_n,
             "cls": 0.5 * options.classes / 80 * 3 / heads_n}
    detection = DetectionLoss(model.model[-1].anchors, options.classes, gains).to(device)
    distillation = DistillLoss(options.loss, gains)
    optimizer = make_optimizer(model, device)
    average = Average(model)
    teacher = frozen(YoloV5(options.teacher, options.classes)) if options.mode == "distill" else None

    @compiled
    def loss():
        x = network_input()
        with autocast():
            heads = model(x)
        total = detection(heads, targets).sum()
        if teacher is not None:
            with torch.no_grad():
                teacher_heads = teacher(x)
            total = total + distillation(heads, teacher_heads).sum()
        return total * options.batch

    def step():
        if options.compile in ("reduce-overhead", "max-autotune"):
            torch.compiler.cudagraph_mark_step_begin()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update(0.999)

    return step


def time_steps(step, steps, device):
    """Milliseconds of each step."""
    if device.type != "cuda":
        times = []
        for _ in range(steps):
            begin = time.perf_counter()
            step()
            times.append((time.perf_counter() - begin) * 1e3)
        return times
    events = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    torch.cuda.synchronize()
    events[0].record()
    for event in events[1:]:
        step()
        event.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in zip(events, events[1:])]


def measure_limits(device):
    """TFLOP/s of a bf16 matrix product of random numbers, GB/s of a copy; medians."""
    n = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.empty(n * n * 16, device=device, dtype=torch.float32)
    target = torch.empty_like(source)
    ms = {}
    for name, step in (("product", lambda: torch.mm(a, b)), ("copy", lambda: target.copy_(source))):
        time_steps(step, 5, device)
        ms[name] = statistics.median(time_steps(step, 20, device))
    return {"matmul_bf16_tflops": 2 * n**3 / ms["product"] / 1e9,
            "copy_gb_per_second": 2 * source.numel() * 4 / ms["copy"] / 1e6}


def main():
    options = parse()
    device = torch.device(options.device)
    if options.mode == "limits":
        print(json.dumps(measure_limits(device)), flush=True)
        return 0
    torch.manual_seed(0)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.tf32
    cuda = device.type == "cuda"
    step = make_step(options, device)
    begin = time.perf_counter()
    for _ in range(options.warmup):
        boxes = step()
    if options.dump:
        boxes.float().cpu().numpy().tofile(options.dump)
    if cuda:
        torch.cuda.synchronize()
    warm_seconds = time.perf_counter() - begin

    def measure(steps):
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        times = time_steps(step, steps, device)
        median = statistics.median(times)
        mib = lambda n: round(n / 2**20, 1) if cuda else None
        settings = {k: v for k, v in vars(options).items() if k not in ("device", "rounds")}
        print(json.dumps({
            "images_per_second": options.batch * len(times) / sum(times) * 1e3, "step_ms_median": median,
            "step_ms_min": min(times), "step_ms_max": max(times), "ms": times,
            "after_import_mib": AFTER_IMPORT_MIB,
            "peak_allocated_mib": mib(torch.cuda.max_memory_allocated()) if cuda else None,
            "peak_reserved_mib": mib(torch.cuda.max_memory_reserved()) if cuda else None,
            "warmup_seconds": round(warm_seconds, 1), "settings": settings,
            "device": torch.cuda.get_device_name(device) if cuda else f"cpu, {torch.get_num_threads()} threads",
            "torch": torch.__version__, "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version() if cuda else None}), flush=True)

    if not options.rounds:
        measure(options.steps)
        return 0
    print("ready", flush=True)
    for line in sys.stdin:
        measure(int(line.strip() or options.steps))
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except (RuntimeError, ValueError) as error:
        sys.exit(f"bench_torch: {str(error).strip().splitlines()[0]}")
    sys.stdout.flush()
    os._exit(code)  # torch.compile's worker processes may outlive an ordinary exit by minutes
