// SPDX-License-Identifier: MIT
// What column_sums (channel_rows.h) adds up for a channel's mean and variance.
#pragma once

#include <ydistill/tensor/cuda/channel_rows.h>

namespace ydistill::cuda {

/// y - shift and its square. Subtracting the first row (the shift) avoids cancellation if the mean
/// is large.
template <class T, int N>
struct Moments {
  const T* y;
  struct Channels {
    float shift[N];
  };
  __device__ Channels of_channels(int64_t first) const {
    const auto v = load<T, N>(y + first);
    Channels c;
    for (int k = 0; k < N; ++k) c.shift[k] = float(v.v[k]);
    return c;
  }
  __device__ void operator()(const Channels& c, int64_t at, float* a, float* b) const {
    const auto v = load<T, N>(y + at);
    for (int k = 0; k < N; ++k) {
      const float d = float(v.v[k]) - c.shift[k];
      a[k] += d;
      b[k] += d * d;
    }
  }
};

}  // namespace ydistill::cuda
