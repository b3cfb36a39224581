#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records what YOLOv5's own code computes for one training batch, for `ydistill trace` to be compared with.

  git clone --branch v7.0 https://github.com/ultralytics/yolov5
  scripts/record_reference.py --yolov5 yolov5 --student yolov5n.pt --pictures bus.jpg zidane.jpg --out batch.safetensors
  ./ydistill trace --student yolov5n.pt --teacher-from-batch --batch batch.safetensors --case det --out det.safetensors
  scripts/compare_trace.py batch.safetensors det=det.safetensors

Needs PyTorch and what YOLOv5 needs; none of it is part of ydistill. Boxes and classes of the
targets are random, from --seed. YOLOv5 gives the network, the detection loss and the gradients, in
float64 and again in float32; the difference is the noise from which limits are derived. The
distillation losses are bench/peers/torch_yolov5.py's, differentiated by PyTorch. Cases: det,
det_empty, l2, kl4, kl20, bce.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench/peers"))
from torch_yolov5 import DistillLoss, write_safetensors  # noqa: E402

# detection, targets, distillation, temperature
CASES = {"det": (True, True, "none", 20.0), "det_empty": (True, False, "none", 20.0), "l2": (True, True, "l2", 20.0),
         "kl4": (True, True, "kl", 4.0), "kl20": (True, True, "kl", 20.0), "bce": (True, True, "bce", 20.0)}


def load(path, dtype, gains):
    """The network of a checkpoint, with the numbers that YOLOv5's loss reads."""
    model = torch.load(path, map_location="cpu", weights_only=False)["model"].to(dtype)
    detect = model.model[-1]
    for grids in ("grid", "anchor_grid"):  # made anew; older releases store a buffer
        if not isinstance(getattr(detect, grids), list):
            delattr(detect, grids)
        setattr(detect, grids, [torch.zeros(1)] * detect.nl)
    for module in model.modules():
        if isinstance(module, torch.nn.Upsample) and not hasattr(module, "recompute_scale_factor"):
            module.recompute_scale_factor = None  # pickled by an older PyTorch
    model.hyp = {**gains, "cls_pw": 1.0, "obj_pw": 1.0, "fl_gamma": 0.0, "anchor_t": 4.0, "label_smoothing": 0.0}
    return model.requires_grad_(True)


def read_pictures(paths, size):
    """uint8 [N,3,size,size]"""
    pictures = [np.asarray(Image.open(p).convert("RGB").resize((size, size), Image.BILINEAR)) for p in paths]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def draw_targets(pictures, classes, per_picture, seed):
    """[n, 6]: picture, class, centre, width and height in 0..1, boxes within the picture."""
    random = np.random.default_rng(seed)
    rows = []
    for picture in range(pictures):
        for _ in range(per_picture):
            w, h = random.uniform(0.08, 0.6, 2)
            rows.append([picture, random.integers(classes), random.uniform(w / 2, 1 - w / 2),
                         random.uniform(h / 2, 1 - h / 2), w, h])
    return torch.tensor(rows)


def record(options, compute_loss, images, targets, gains, dtype):
    """All tensors in one precision, and the names of the parameters."""
    torch.set_default_dtype(dtype)  # of the tensors that the loss makes
    out = {}
    x, targets = images.to(dtype) / 255, targets.to(dtype)
    teacher = load(options.teacher or options.student, dtype, gains).eval()
    with torch.no_grad():
        for who, model in (("teacher", teacher), ("student", load(options.student, dtype, gains).eval())):
            decoded, heads = model(x)[:2]
            out.update({f"{who}.head{k}": head for k, head in enumerate(heads)})
            out[f"{who}.decoded"] = decoded
    teacher_heads = [out[f"teacher.head{k}"] for k in range(len(heads))]
    for name, (_, labelled, distill, temperature) in CASES.items():
        model = load(options.student, dtype, gains).train()
        heads = model(x)
        for head in heads:
            head.retain_grad()
        total, parts = compute_loss(model)(heads, targets if labelled else targets[:0])
        terms = torch.zeros(3)
        if distill != "none":
            terms = len(x) * DistillLoss(distill, gains, temperature)(heads, teacher_heads)
        (total.sum() + terms.sum()).backward()
        parameters = dict(model.named_parameters())
        out[f"{name}.loss"] = torch.cat([parts, total.detach().reshape(1), terms.sum().detach().reshape(1)])
        out[f"{name}.distill_terms"] = terms.detach()
        out.update({f"{name}.grad_head{k}": head.grad for k, head in enumerate(heads)})
        out[f"{name}.param_grad_norms"] = torch.stack([p.grad.double().norm() for p in parameters.values()])
        out.update({f"{name}.grad.{full}": parameters[full].grad for full in full_of(parameters)})
        if name == "det":
            out.update({f"det.train_head{k}": head.detach() for k, head in enumerate(heads)})
            out.update({f"det.bn_after.{key}": value for key, value in model.state_dict().items()
                        if key.startswith("model.1.bn.running")})
    torch.set_default_dtype(torch.float32)
    return out, list(parameters)


def full_of(names):
    """Parameters whose complete gradient is kept: of both ends of the network and of its middle."""
    names = list(names)
    weights = [n for n in names if n.endswith("conv.weight")]
    norms = [n for n in names if n.endswith("bn.weight")]
    return [weights[0], weights[1], weights[len(weights) // 2], norms[len(norms) // 2], weights[-1], *names[-2:]]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--yolov5", type=Path, required=True, help="folder of YOLOv5's code")
    parser.add_argument("--student", type=Path, required=True, help="checkpoint, .pt")
    parser.add_argument("--teacher", type=Path, help="checkpoint of the same classes; the student's where absent")
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    parser.add_argument("--size", type=int, default=160, help="side of the network's input, a multiple of 32")
    parser.add_argument("--targets", type=int, default=4, help="boxes per picture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for path in (options.yolov5 / "utils/loss.py", options.student, *options.pictures,
                 *([options.teacher] if options.teacher else [])):
        if not path.is_file():
            parser.error(f"{path} is not there")
    if options.size < 32 or options.size % 32:
        parser.error(f"--size {options.size}: a multiple of 32 wanted")
    if options.targets < 1:
        parser.error(f"--targets {options.targets}: at least 1 wanted")
    return options


def main():
    options = parse()
    sys.path.insert(0, str(options.yolov5.resolve()))
    from utils.loss import ComputeLoss

    classes = load(options.student, torch.float32, {}).model[-1].nc
    gains = {"box": 0.05, "obj": 1.0, "cls": 0.5 * classes / 80}
    images = read_pictures(options.pictures, options.size)
    targets = draw_targets(len(images), classes, options.targets, options.seed)
    exact, names = record(options, ComputeLoss, images, targets, gains, torch.float64)
    single, _ = record(options, ComputeLoss, images, targets, gains, torch.float32)
    noise = {name: (single[name].double() - value).abs().max().item() for name, value in exact.items()}
    cases = {name: {"detection": detection, "targets": labelled, "distill": distill, "temperature": temperature,
                    "anchors": False, "steps": 0, "lr": 0.0, "gains": gains, "distill_gains": gains}
             for name, (detection, labelled, distill, temperature) in CASES.items()}
    tensors = {name: value.contiguous() if name.endswith("norms") else value.float().contiguous()
               for name, value in exact.items()}
    write_safetensors(options.out, {"images": images, "targets": targets.float(), **tensors},
                      {"cases": json.dumps(cases), "noise": json.dumps(noise), "param_names": json.dumps(names),
                       "full": json.dumps(full_of(names)), "classes": str(classes)})
    print(f"{options.out}: {len(tensors)} tensors of {', '.join(CASES)}; {classes} classes, {len(targets)} targets")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError) as error:
        sys.exit(f"record_reference: {str(error).strip().splitlines()[0]}")
