// SPDX-License-Identifier: MIT
// A 1x1 convolution as one product of matrices.
//
// Dense NHWC is a row-major matrix [pixels, channels]; to a column-major library it is
// [channels, pixels]. So, with p pixels, c channels in and o out, column-major:
//
//   y [o,p] = w'[o,c] x[c,p]     grad_x [c,p] = w[c,o] grad_y[o,p]     grad_w [c,o] = x[c,p]
//   grad_y'[p,o]
//
// where w [c,o] is the weights [O,1,1,C] as stored, and ' transposes. In all three the left factor
// is the problem's b and the right one its a.
#pragma once

#include <ydistill/tensor/cuda/conv_engine.h>

namespace ydistill::cuda {

/// out [m,n] = left [m,k] right [k,n], column-major. Transposed factors are stored as [k,m], [n,k].
struct Matmul {
  int64_t m, n, k;
  bool transpose_left = false, transpose_right = false;

  int64_t left_rows() const { return transpose_left ? k : m; }
  int64_t left_columns() const { return transpose_left ? m : k; }
  int64_t right_rows() const { return transpose_right ? n : k; }
  int64_t right_columns() const { return transpose_right ? k : n; }
};

inline bool is_matmul(const ConvProblem& p) {
  return p.g.kernel == 1 && p.g.options == Conv2dOptions{} && !p.bias_silu;
}

inline Matmul matmul_of(const ConvProblem& p) {
  const int64_t pixels = p.g.batch * p.g.in_height * p.g.in_width;
  const int64_t c = p.g.in_channels, o = p.g.out_channels;
  switch (p.direction) {
    case ConvDirection::kForward:
      return {.m = o, .n = pixels, .k = c, .transpose_left = true};
    case ConvDirection::kBackwardInput:
      return {.m = c, .n = pixels, .k = o};
    case ConvDirection::kBackwardWeight:
      break;
  }
  return {.m = c, .n = o, .k = pixels, .transpose_right = true};
}

}  // namespace ydistill::cuda
