// SPDX-License-Identifier: MIT
// Convolution as plain loops: the readable definition of the op, used for float64 and where no
// library has a better kernel. Each output number is one sum, so no direction needs atomics.
#pragma once

#include <algorithm>
#include <vector>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {

/// x [N,H,W,C], w [O,K,K,C], bias [O] or null -> y [N,OH,OW,O]
template <class T>
void conv2d_forward_reference(const Conv2dGeometry& g, const T* x, const T* w, const T* bias,
                              T* y) {
  const int64_t oh = g.out_height(), ow = g.out_width(), k = g.kernel, c = g.in_channels;
  parallel_for(g.batch * oh, 1, [=](int64_t row) {
    const int64_t n = row / oh, i = row % oh;
    for (int64_t j = 0; j < ow; ++j) {
      for (int64_t o = 0; o < g.out_channels; ++o) {
        T sum = bias != nullptr ? bias[o] : T(0);
        for (int64_t p = 0; p < k; ++p) {
          const int64_t in_i = i * g.options.stride + p - g.options.padding;
          if (in_i < 0 || in_i >= g.in_height) continue;
          for (int64_t q = 0; q < k; ++q) {
            const int64_t in_j = j * g.options.stride + q - g.options.padding;
            if (in_j < 0 || in_j >= g.in_width) continue;
            const T* pixel = x + ((n * g.in_height + in_i) * g.in_width + in_j) * c;
            const T* tap = w + ((o * k + p) * k + q) * c;
            for (int64_t ch = 0; ch < c; ++ch) sum += pixel[ch] * tap[ch];
          }
        }
        y[(row * ow + j) * g.out_channels + o] = sum;
      }
    }
  });
}

/// grad_x[n,h,w,c] = sum over the outputs (i,j) and taps (p,q) that read pixel (h,w)
template <class T>
void conv2d_backward_input_reference(const Conv2dGeometry& g, const T* grad_y, const T* w,
                                     T* grad_x) {
  const int64_t oh = g.out_height(), ow = g.out_width(), k = g.kernel, c = g.in_channels;
  const int64_t s = g.options.stride;
  parallel_for(g.batch * g.in_height, 1, [=](int64_t row) {
    const int64_t n = row / g.in_height, h = row % g.in_height;
    for (int64_t col = 0; col < g.in_width; ++col) {
      T* grad_pixel = grad_x + (row * g.in_width + col) * c;
      std::fill_n(grad_pixel, c, T(0));
      for (int64_t p = 0; p < k; ++p) {
        const int64_t top = h + g.options.padding - p;
        if (top < 0 || top % s != 0 || top / s >= oh) continue;
        for (int64_t q = 0; q < k; ++q) {
          const int64_t left = col + g.options.padding - q;
          if (left < 0 || left % s != 0 || left / s >= ow) continue;
          const T* grad = grad_y + ((n * oh + top / s) * ow + left / s) * g.out_channels;
          for (int64_t o = 0; o < g.out_channels; ++o) {
            const T* tap = w + ((o * k + p) * k + q) * c;
            for (int64_t ch = 0; ch < c; ++ch) grad_pixel[ch] += grad[o] * tap[ch];
          }
        }
      }
    }
  });
}

/// grad_w[o,p,q,c] += sum over outputs of grad_y * the pixel that tap read; grad_bias[o] += sum
/// grad_y
template <class T>
void conv2d_backward_weight_reference(const Conv2dGeometry& g, const T* grad_y, const T* x,
                                      T* grad_w, T* grad_bias) {
  const int64_t oh = g.out_height(), ow = g.out_width(), k = g.kernel, c = g.in_channels;
  parallel_for(g.out_channels, 1, [=](int64_t o) {
    std::vector<T> sum(size_t(k * k * c), T(0));
    T bias_sum = 0;
    for (int64_t n = 0; n < g.batch; ++n) {
      for (int64_t i = 0; i < oh; ++i) {
        for (int64_t j = 0; j < ow; ++j) {
          const T grad = grad_y[((n * oh + i) * ow + j) * g.out_channels + o];
          bias_sum += grad;
          for (int64_t p = 0; p < k; ++p) {
            const int64_t in_i = i * g.options.stride + p - g.options.padding;
            if (in_i < 0 || in_i >= g.in_height) continue;
            for (int64_t q = 0; q < k; ++q) {
              const int64_t in_j = j * g.options.stride + q - g.options.padding;
              if (in_j < 0 || in_j >= g.in_width) continue;
              const T* pixel = x + ((n * g.in_height + in_i) * g.in_width + in_j) * c;
              T* tap = sum.data() + (p * k + q) * c;
              for (int64_t ch = 0; ch < c; ++ch) tap[ch] += grad * pixel[ch];
            }
          }
        }
      }
    }
    T* grad_o = grad_w + o * k * k * c;
    for (size_t t = 0; t < sum.size(); ++t) grad_o[t] += sum[t];
    if (grad_bias != nullptr) grad_bias[o] += bias_sum;
  });
}

}  // namespace ydistill
