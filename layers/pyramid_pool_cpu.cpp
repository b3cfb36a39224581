// SPDX-License-Identifier: MIT
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kRadius = 2;
constexpr int64_t kWindow = 2 * kRadius + 1;

template <class T>
void pool(const T* in, T* out, uint8_t* argmax, int64_t batch, int64_t height, int64_t width,
          int64_t channels, int64_t pitch) {
  parallel_for(batch * height, 1, [=](int64_t row) {
    const int64_t n = row / height, i = row % height;
    for (int64_t j = 0; j < width; ++j) {
      T* to = out + (row * width + j) * pitch;
      uint8_t* winner = argmax == nullptr ? nullptr : argmax + (row * width + j) * channels;
      bool first = true;
      for (int64_t p = -kRadius; p <= kRadius; ++p) {
        if (i + p < 0 || i + p >= height) continue;
        for (int64_t q = -kRadius; q <= kRadius; ++q) {
          if (j + q < 0 || j + q >= width) continue;
          const T* from = in + ((n * height + i + p) * width + j + q) * pitch;
          const uint8_t code = uint8_t((p + kRadius) * kWindow + q + kRadius);
          if (first) {
            for (int64_t c = 0; c < channels; ++c) to[c] = from[c];
            if (winner != nullptr) {
              for (int64_t c = 0; c < channels; ++c) winner[c] = code;
            }
            first = false;
          } else if (winner != nullptr) {
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) {
              // A NaN wins and stays, so that it is seen and not lost.
              const bool better = from[c] > to[c] || from[c] != from[c];
              winner[c] = better ? code : winner[c];
              to[c] = better ? from[c] : to[c];
            }
          } else {
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) {
              to[c] = from[c] > to[c] || from[c] != from[c] ? from[c] : to[c];
            }
          }
        }
      }
    }
  });
}

// One thread a picture: windows overlap, so rows of one picture are added in order.
template <class T>
void unpool(const T* grad_out, const uint8_t* argmax, T* grad_in, int64_t batch, int64_t height,
            int64_t width, int64_t channels, int64_t pitch) {
  parallel_for(batch, 1, [=](int64_t n) {
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        const int64_t at = (n * height + i) * width + j;
        const T* from = grad_out + at * pitch;
        const uint8_t* winner = argmax + at * channels;
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t p = winner[c] / kWindow - kRadius, q = winner[c] % kWindow - kRadius;
          grad_in[(at + p * width + q) * pitch + c] += from[c];
        }
      }
    }
  });
}

}  // namespace

const PyramidPoolKernelTable& pyramid_pool_kernels() {
  static const PyramidPoolKernelTable table{{pool<float>, unpool<float>},
                                            {pool<double>, unpool<double>}};
  return table;
}

}  // namespace ydistill::YD_CPU_LEVEL
