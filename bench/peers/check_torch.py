#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that torch_yolov5.py computes what YOLOv5 does: runs recorded cases and compares.

  bench/peers/check_torch.py --weights S.safetensors --batch train_s_m.safetensors [--device cpu]

--weights  the student, as `ydistill convert` writes it
--batch    a recorded training batch; its teacher.headK stand for the teacher
Prints the largest difference of each case as a share of its limit (ten times the original's own
float32 noise, at least 5e-6 of the tensor's largest entry); exit code 1 if one exceeds it.
"""
import argparse
import json
import sys

import torch

from torch_yolov5 import ANCHORS_PX, DetectionLoss, DistillLoss, YoloV5, decode, read_safetensors


def share_of_limit(name, got, reference, noise):
    """Heads: box, objectness and class columns each on their own scale."""
    wanted = reference[name].double()
    got = got.detach().double().cpu()
    if got.shape != wanted.shape:
        raise ValueError(f"{name}: {tuple(got.shape)} instead of {tuple(wanted.shape)}")
    head = "head" in name or "decoded" in name
    worst = 0.0
    for columns in (slice(0, 4), slice(4, 5), slice(5, None)) if head else (slice(None),):
        a, b = (got[..., columns], wanted[..., columns]) if head else (got, wanted)
        limit = max(10 * noise.get(name, 0), 5e-6 * b.abs().max().item())
        error = (a - b).abs().max().item()
        share = float("inf") if error != error else error / limit if error else 0.0
        worst = max(worst, share)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--batch", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", default="det,det_empty,l2,kl4,kl20,bce")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False

    reference, metadata = read_safetensors(options.batch)
    noise, cases = json.loads(metadata["noise"]), json.loads(metadata["cases"])
    num_classes = int(metadata["classes"])
    _, about = read_safetensors(options.weights)
    device = torch.device(options.device)
    model = YoloV5(about["graph_name"], num_classes).load(options.weights).to(device)
    images = reference["images"].to(device).float() / 255
    to_file = lambda head: head.permute(0, 3, 1, 2, 4)
    teacher = [reference[f"teacher.head{k}"].permute(0, 2, 3, 1, 4).to(device) for k in range(3)]
    worst_of_all = 0.0

    def report(case, shares):
        nonlocal worst_of_all
        name = max(shares, key=shares.get)
        worst_of_all = max(worst_of_all, *shares.values())
        print(f"{case:<12} {len(shares):>3} tensors, largest share of a limit {shares[name]:.3f} ({name})")

    model.eval()
    with torch.no_grad():
        heads = model(images)
        shares = {f"student.head{k}": to_file(h) for k, h in enumerate(heads)}
        anchors = torch.tensor(ANCHORS_PX, dtype=torch.float32, device=device).view(3, 3, 2)
        # The original's order of boxes: anchor, row, column.
        decoded = [decode([h if j == k else h[:, :0] for j, h in enumerate(heads)], anchors) for k in range(3)]
        ordered = [d.view(d.shape[0], *h.shape[1:4], -1).permute(0, 3, 1, 2, 4).flatten(1, 3)
                   for d, h in zip(decoded, heads)]
        shares["student.decoded"] = torch.cat(ordered, 1)
    report("evaluation", {n: share_of_limit(n, t, reference, noise) for n, t in shares.items()})

    state = {k: v.clone() for k, v in model.state_dict().items()}
    for name in options.cases.split(","):
        case = cases[name]
        model.load_state_dict(state)
        model.train().zero_grad(set_to_none=True)
        heads = model(images)
        for head in heads:
            head.retain_grad()
        targets = (reference["targets"] if case["targets"] else torch.zeros(0, 6)).to(device)
        batch = images.shape[0]
        detection = DetectionLoss(model.model[-1].anchors, num_classes, case["gains"]).to(device)
        parts = detection(heads, targets)
        total = parts.sum() * batch
        terms = torch.zeros(3, device=device)
        if case["distill"] != "none":
            terms = batch * DistillLoss(case["distill"], case["distill_gains"], case["temperature"])(heads, teacher)
        (total + terms.sum()).backward()
        got = {f"{name}.loss": torch.cat([parts, total[None], terms.sum()[None]]),
               f"{name}.distill_terms": terms}
        for k, head in enumerate(heads):
            got[f"{name}.grad_head{k}"] = to_file(head.grad)
            if f"{name}.train_head{k}" in reference:
                got[f"{name}.train_head{k}"] = to_file(head)
        parameters = dict(model.named_parameters())
        order = json.loads(metadata["param_names"])
        got[f"{name}.param_grad_norms"] = torch.stack([parameters[p].grad.double().norm() for p in order])
        for full in json.loads(metadata["full"]):
            got[f"{name}.grad.{full}"] = parameters[full].grad
        for key in reference:
            if key.startswith(f"{name}.bn_after."):
                got[key] = model.state_dict()[key.removeprefix(f"{name}.bn_after.")]
        report(name, {n: share_of_limit(n, t, reference, noise) for n, t in got.items()})
    return 0 if worst_of_all <= 1 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        sys.exit(f"check_torch: {str(error).strip().splitlines()[0]}")
