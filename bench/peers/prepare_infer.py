#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One network and one batch of pictures for all sides of the inference benchmark.

  bench/peers/prepare_infer.py --graph yolov5s --size 640 --batch 1 --out FOLDER

Writes into FOLDER
  weights.safetensors  fresh weights whose running statistics fit the pictures, so that the logits
                       depend on the picture as those of a trained network do
  pictures.rgb         raw bytes [N, H, W, 3]
  expected.f32         decoded boxes of PyTorch in float32, raw: what every side must give
  rounded.f32          with --rounded: the same under bfloat16 autocast, how far rounding takes them
  bytes.onnx           uint8 [N, H, W, 3] -> boxes        (BN folded, decode included)
  floats.onnx          float32 [N, 3, H, W], 0..1 -> boxes
The ONNX files are left out, with a line saying why, where torch.onnx cannot write them.
"""
import argparse
import copy
import os
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

from torch_yolov5 import Boxes, YoloV5, decode, write_safetensors


def make_pictures(count, size):
    """Blobs of several scales, so that there is structure, not only noise. uint8 [N, 3, H, W]."""
    generator = torch.Generator().manual_seed(7)
    picture = torch.zeros(count, 3, size, size)
    for cell in (32, 8, 2):
        noise = torch.rand(count, 3, -(-size // cell), -(-size // cell), generator=generator) - 0.5
        picture += nn.functional.interpolate(noise, size=(size, size), mode="bilinear")
    return ((picture / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8)


@torch.no_grad()
def fit_statistics(model):
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        # With the usual gain of 1 an untrained network doubles a rounding error every few layers,
        # which no trained one does: bfloat16 could not be distinguished from a wrong answer.
        norm.weight.uniform_(0.2, 0.6)
        norm.momentum = None  # the mean over all batches
        norm.reset_running_stats()
    model.train()
    for batch in make_pictures(6, 256).split(2):
        model(batch.float() / 255)
    model.eval()


class FromBytes(nn.Module):
    def __init__(self, boxes):
        super().__init__()
        self.boxes = boxes

    def forward(self, pictures):
        return self.boxes(pictures.permute(0, 3, 1, 2))


class FromFloats(nn.Module):
    def __init__(self, boxes):
        super().__init__()
        self.boxes = boxes

    def forward(self, x):
        return decode(self.boxes.network(x), self.boxes.anchors_px)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", required=True)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rounded", action="store_true")
    options = parser.parse_args()
    out = Path(options.out)
    torch.manual_seed(0)
    model = YoloV5(options.graph, options.classes)
    fit_statistics(model)
    write_safetensors(out / "weights.safetensors", {k: v for k, v in model.state_dict().items()})
    pictures = make_pictures(options.batch, options.size)
    in_rows = pictures.permute(0, 2, 3, 1).contiguous()
    (out / "pictures.rgb").write_bytes(in_rows.numpy().tobytes())
    boxes = Boxes(copy.deepcopy(model).fold()).eval()
    with torch.no_grad():
        boxes(pictures).numpy().tofile(out / "expected.f32")
        if options.rounded:
            with torch.autocast("cpu", torch.bfloat16):
                boxes(pictures).float().numpy().tofile(out / "rounded.f32")
    warnings.simplefilter("ignore")
    for name, module, example in (("bytes", FromBytes(boxes), in_rows),
                                  ("floats", FromFloats(boxes), pictures.float() / 255)):
        path = out / f"{name}.onnx"
        try:
            torch.onnx.export(module.eval(), (example,), str(path), input_names=["pictures"],
                              output_names=["boxes"], opset_version=18, external_data=False)
        except Exception as error:  # whatever the exporter or its missing parts raise
            path.unlink(missing_ok=True)
            (out / "no_onnx.txt").write_text(f"torch.onnx: {str(error).strip().splitlines()[0]}")
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"prepare_infer: {str(error).strip().splitlines()[0]}")
    sys.stdout.flush()
    os._exit(code)
