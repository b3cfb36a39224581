#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inference of ONNX Runtime, OpenVINO or OpenCV DNN on the CPU, timed when asked (worker.py).

  bench/peers/bench_runtime.py --runtime openvino --folder FOLDER --batch 1 --size 640 --dump FILE

FOLDER is what prepare_infer.py wrote. A step turns uint8 pictures [N, H, W, 3] into decoded boxes.
"""
import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

RUNTIMES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "opencv": "cv2"}
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "opencv": "opencv-python-headless"}


def onnxruntime_step(options, pictures):
    import onnxruntime

    if options.precision == "bf16":
        raise ValueError("has no bfloat16 convolution on the CPU")
    if options.precision == "int8":
        raise ValueError("is not quantized here")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Its threads spin within a run, as by default, but not after it, when others take their turn.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(str(options.folder / "bytes.onnx"), settings,
                                           providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"pictures": pictures})[0], onnxruntime.__version__


def quantize_for_openvino(options, path):
    """Runs in a separate process, so that its memory does not count for the runtime."""
    program = ("import sys, numpy, nncf, openvino; folder, to, *shape = sys.argv[1:];"
               "x = numpy.fromfile(folder + '/pictures.rgb', numpy.uint8).reshape([int(n) for n in shape]);"
               "x = x.transpose(0, 3, 1, 2).astype(numpy.float32) / 255;"
               "model = openvino.Core().read_model(folder + '/floats.onnx');"
               "openvino.save_model(nncf.quantize(model, nncf.Dataset([x]), subset_size=1), to)")
    shape = [str(n) for n in (options.batch, options.size, options.size, 3)]
    done = subprocess.run([sys.executable, "-c", program, str(options.folder), str(path), *shape],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])


def openvino_step(options, pictures):
    import openvino
    from openvino.preprocess import PrePostProcessor

    core = openvino.Core()
    if options.precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ValueError("says that this processor has no bfloat16")
    model = core.read_model(str(options.folder / "floats.onnx"))
    if options.precision == "int8":
        quantized = options.folder / "int8.xml"
        if not quantized.exists():  # by its own tool, on the pictures that are timed, as ours
            quantize_for_openvino(options, quantized)
        model = core.read_model(str(quantized))
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    precision = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}[options.precision]
    compiled = core.compile_model(steps.build(), "CPU", {
        "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": options.threads})
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(pictures))

    def step():
        request.infer()
        return request.get_output_tensor().data

    return step, openvino.__version__


def opencv_step(options, pictures):
    import cv2

    if options.precision != "fp32":
        raise ValueError(f"has no {options.precision} on the CPU")
    cv2.setNumThreads(options.threads)
    net = cv2.dnn.readNetFromONNX(str(options.folder / "floats.onnx"))

    def step():
        net.setInput(cv2.dnn.blobFromImages(list(pictures), 1 / 255))
        return net.forward()

    return step, cv2.__version__


STEPS = {"onnxruntime": onnxruntime_step, "openvino": openvino_step, "opencv": opencv_step}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", required=True, choices=RUNTIMES)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--dump", help="write the decoded boxes there, raw float32")
    options = parser.parse_args()
    if importlib.util.find_spec(RUNTIMES[options.runtime]) is None:
        raise ValueError(f"not installed (pip install {PACKAGES[options.runtime]})")
    reason = options.folder / "no_onnx.txt"
    if reason.exists():
        raise ValueError(f"no ONNX file: {reason.read_text()}")
    pictures = np.fromfile(options.folder / "pictures.rgb", np.uint8)
    pictures = pictures.reshape(options.batch, options.size, options.size, 3)
    step, version = STEPS[options.runtime](options, pictures)
    for _ in range(options.warmup):
        boxes = step()
    if options.dump:
        np.asarray(boxes, np.float32).tofile(options.dump)
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            step()
            times.append((time.perf_counter() - begin) * 1e3)
        print(json.dumps({"ms": times, "version": version}), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # each runtime raises its own types
        sys.exit(str(error).strip().splitlines()[0])
