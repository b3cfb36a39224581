# SPDX-License-Identifier: MIT
"""Boxes in a picture, from Python without any package.

    python3 detect.py libydistill_c.so best.safetensors street.jpg
"""
import ctypes
import sys


class Detection(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float) for name in ("x1", "y1", "x2", "y2", "score")] + [("class_id", ctypes.c_int32)]


def load(library):
    yd = ctypes.CDLL(library)
    yd.yd_open.restype = yd.yd_class_name.restype = yd.yd_last_error.restype = ctypes.c_void_p
    yd.yd_open.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    yd.yd_class_name.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    yd.yd_detect_file.restype = ctypes.c_int64
    yd.yd_detect_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Detection), ctypes.c_int64]
    yd.yd_close.argtypes = [ctypes.c_void_p]
    return yd


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: detect.py LIBRARY WEIGHTS PICTURE")
    yd = load(sys.argv[1])
    detector = yd.yd_open(sys.argv[2].encode(), None)
    found = (Detection * 300)()
    n = yd.yd_detect_file(detector, sys.argv[3].encode(), found, len(found)) if detector else -1
    if n < 0:
        sys.exit("detect.py: " + ctypes.string_at(yd.yd_last_error()).decode())
    for d in found[:n]:
        name = ctypes.string_at(yd.yd_class_name(detector, d.class_id)).decode()
        print(f"{name} {d.score:.2f}  {d.x1:.0f} {d.y1:.0f} {d.x2:.0f} {d.y2:.0f}")
    yd.yd_close(detector)


if __name__ == "__main__":
    main()
