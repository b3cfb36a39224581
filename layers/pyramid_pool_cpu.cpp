// SPDX-License-Identifier: MIT
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kRadius = 2;
constexpr int64_t kWindow = 2 * kRadius + 1;
constexpr int kTile = 32;  // channels held in registers

/// A NaN wins and stays, so that it is seen and not lost.
template <class A>
YD_HOST_DEVICE bool wins(A candidate, A best) {
  return candidate > best || candidate != candidate;
}

/// The maxima of kTile channels of one window, and where they stand. in: the window's middle, at
/// row i and column j.
template <int kTile, bool kWinners, class T>
YD_HOST_DEVICE void pool_tile(const T* in, T* out, uint8_t* winner, int64_t i, int64_t j,
                              int64_t height, int64_t width, int64_t channels, int64_t pitch) {
  using A = Arithmetic<T>;
  A best[kTile];
  int32_t code[kTile];
  bool first = true;
  for (int64_t p = -kRadius; p <= kRadius; ++p) {
    if (i + p < 0 || i + p >= height) continue;
    for (int64_t q = -kRadius; q <= kRadius; ++q) {
      if (j + q < 0 || j + q >= width) continue;
      const T* from = in + (p * width + q) * pitch;
      const int32_t here = int32_t((p + kRadius) * kWindow + q + kRadius);
      const auto look_at = [&](int64_t c) __attribute__((always_inline)) {
        const A candidate = A(from[c]);
        const bool better = first || wins(candidate, best[c]);
        best[c] = better ? candidate : best[c];
        if (kWinners) code[c] = better ? here : code[c];
      };
      if (channels == kTile) {
        for (int64_t c = 0; c < kTile; ++c) look_at(c);
      } else {
        for (int64_t c = 0; c < channels; ++c) look_at(c);
      }
      first = false;
    }
  }
  for (int64_t c = 0; c < channels; ++c) out[c] = T(best[c]);
  if (kWinners) {
    for (int64_t c = 0; c < channels; ++c) winner[c] = uint8_t(code[c]);
  }
}

template <class T>
void pool(const T* in, T* out, uint8_t* argmax, int64_t batch, int64_t height, int64_t width,
          int64_t channels, int64_t pitch) {
  parallel_for(batch * height, 1, [=](int64_t row) {
    const int64_t i = row % height;
    for (int64_t j = 0; j < width; ++j) {
      const int64_t pixel = row * width + j;
      for (int64_t first = 0; first < channels; first += kTile) {
        const int64_t tile = channels - first < kTile ? channels - first : kTile;
        const T* from = in + pixel * pitch + first;
        T* to = out + pixel * pitch + first;
        if (argmax != nullptr) {
          pool_tile<kTile, true>(from, to, argmax + pixel * channels + first, i, j, height, width,
                                 tile, pitch);
        } else {
          pool_tile<kTile, false>(from, to, nullptr, i, j, height, width, tile, pitch);
        }
      }
    }
  });
}

// Each pixel gathers from the windows it may have won, in a fixed order; a tile of channels is
// summed in registers.
template <class T>
void unpool(const T* grad_out, const uint8_t* argmax, T* grad_in, int64_t batch, int64_t height,
            int64_t width, int64_t channels, int64_t pitch) {
  using A = Arithmetic<T>;
  parallel_for(batch * height, 1, [=](int64_t row) {
    const int64_t i = row % height;
    for (int64_t j = 0; j < width; ++j) {
      const int64_t pixel = row * width + j;
      for (int64_t first = 0; first < channels; first += kTile) {
        const int64_t tile = channels - first < kTile ? channels - first : kTile;
        A sum[kTile] = {};
        for (int64_t p = kRadius; p >= -kRadius; --p) {  // windows in row order
          if (i - p < 0 || i - p >= height) continue;
          for (int64_t q = kRadius; q >= -kRadius; --q) {
            if (j - q < 0 || j - q >= width) continue;
            const int64_t window = pixel - p * width - q;
            const T* from = grad_out + window * pitch + first;
            const uint8_t* winner = argmax + window * channels + first;
            const uint8_t code = uint8_t((p + kRadius) * kWindow + q + kRadius);
            if (tile == kTile) {
              for (int64_t c = 0; c < kTile; ++c) {
                const A value = A(from[c]);  // read always, so that the loop needs no branch
                sum[c] += winner[c] == code ? value : A(0);
              }
            } else {
              for (int64_t c = 0; c < tile; ++c) sum[c] += winner[c] == code ? A(from[c]) : A(0);
            }
          }
        }
        T* to = grad_in + pixel * pitch + first;
        for (int64_t c = 0; c < tile; ++c) to[c] = T(A(to[c]) + sum[c]);
      }
    }
  });
}

}  // namespace

const PyramidPoolKernelTable& pyramid_pool_kernels() {
  static const PyramidPoolKernelTable table{{pool<float>, unpool<float>},
                                            {pool<double>, unpool<double>},
                                            {pool<BFloat16>, unpool<BFloat16>},
                                            {pool<uint8_t>, nullptr}};
  return table;
}

}  // namespace ydistill::YD_CPU_LEVEL
