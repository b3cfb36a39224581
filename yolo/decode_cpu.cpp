// SPDX-License-Identifier: MIT
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/decode_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

template <class T>
void decode(const DecodeArgs<T>& a) {
  T* out = a.boxes;
  for (int64_t column = 0; column < a.columns; ++column, out += a.width) {
    __builtin_memcpy(out, a.logits + column * a.box_step, size_t(a.width) * sizeof(T));
  }
  // One long loop of sigmoids over whole registers; then each box's first four are computed from
  // theirs.
  const int64_t n = a.columns * a.width;
  for (int64_t i = 0; i < n; ++i) a.boxes[i] = sigmoid(a.boxes[i]);
  out = a.boxes;
  for (int64_t column = 0; column < a.columns; ++column, out += a.width) {
    out[0] = centre_of_sigmoid(out[0], column, a.stride);
    out[1] = centre_of_sigmoid(out[1], a.row, a.stride);
    out[2] = side_of_sigmoid(out[2], a.anchor_w);
    out[3] = side_of_sigmoid(out[3], a.anchor_h);
  }
}

}  // namespace

const DecodeKernels& decode_kernels() {
  static const DecodeKernels kernels{decode<float>, decode<double>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
