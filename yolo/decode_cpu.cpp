// SPDX-License-Identifier: MIT
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/decode_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

template <class T>
void decode(const DecodeArgs<T>& a) {
  T* out = a.boxes;
  for (int64_t row = 0; row < a.rows; ++row) {
    for (int64_t column = 0; column < a.columns; ++column, out += a.width) {
      const T* t = a.logits + ((row * a.columns + column) * a.anchors + a.anchor) * a.width;
      out[0] = decode_centre(t[0], column, a.stride);
      out[1] = decode_centre(t[1], row, a.stride);
      out[2] = decode_side(t[2], a.anchor_w);
      out[3] = decode_side(t[3], a.anchor_h);
      for (int64_t i = 4; i < a.width; ++i) out[i] = sigmoid(t[i]);
    }
  }
}

}  // namespace

const DecodeKernels& decode_kernels() {
  static const DecodeKernels kernels{decode<float>, decode<double>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
