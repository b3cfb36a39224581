// SPDX-License-Identifier: MIT
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int kTile = 32;  // channels held in registers

/// A NaN always wins and stays, so that it is not hidden.
template <class A>
YD_HOST_DEVICE bool wins(A candidate, A best) {
  return candidate > best || candidate != candidate;
}

/// The maxima of up to kTile channels of one window, and their positions in it. in: the centre of
/// the window, at row i and column j.
template <int kTile, bool kWinners, class T>
YD_HOST_DEVICE void pool_tile(const T* in, T* out, uint8_t* winner, int64_t i, int64_t j,
                              int64_t channels, const PoolSlice& map) {
  using A = Arithmetic<T>;
  A best[kTile];
  int32_t code[kTile];
  bool first = true;
  const int64_t radius = map.radius, window = 2 * radius + 1, pitch = map.pitch;
  const int64_t height = map.height, width = map.width;
  for (int64_t p = -radius; p <= radius; ++p) {
    if (i + p < 0 || i + p >= height) continue;
    for (int64_t q = -radius; q <= radius; ++q) {
      if (j + q < 0 || j + q >= width) continue;
      const T* from = in + (p * width + q) * pitch;
      const int32_t here = int32_t((p + radius) * window + q + radius);
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
void pool(const T* in, T* out, uint8_t* argmax, const PoolSlice& map) {
  parallel_for(map.batch * map.height, 1, [=](int64_t row) {
    const int64_t i = row % map.height;
    for (int64_t j = 0; j < map.width; ++j) {
      const int64_t pixel = row * map.width + j;
      for (int64_t first = 0; first < map.channels; first += kTile) {
        const int64_t tile = map.channels - first < kTile ? map.channels - first : kTile;
        const T* from = in + pixel * map.pitch + first;
        T* to = out + pixel * map.pitch + first;
        if (argmax != nullptr) {
          uint8_t* const winner = argmax + pixel * map.channels + first;
          pool_tile<kTile, true>(from, to, winner, i, j, tile, map);
        } else {
          pool_tile<kTile, false>(from, to, nullptr, i, j, tile, map);
        }
      }
    }
  });
}

// Each pixel gathers from the windows in which it may be the maximum, in a fixed order; a tile of
// channels is summed in registers.
template <class T>
void unpool(const T* grad_out, const uint8_t* argmax, T* grad_in, const PoolSlice& map) {
  using A = Arithmetic<T>;
  const int64_t radius = map.radius;
  parallel_for(map.batch * map.height, 1, [=](int64_t row) {
    const int64_t i = row % map.height;
    for (int64_t j = 0; j < map.width; ++j) {
      const int64_t pixel = row * map.width + j;
      for (int64_t first = 0; first < map.channels; first += kTile) {
        const int64_t tile = map.channels - first < kTile ? map.channels - first : kTile;
        A sum[kTile] = {};
        for (int64_t p = radius; p >= -radius; --p) {  // windows in row order
          if (i - p < 0 || i - p >= map.height) continue;
          for (int64_t q = radius; q >= -radius; --q) {
            if (j - q < 0 || j - q >= map.width) continue;
            const int64_t centre = pixel - p * map.width - q;  // of the window
            const T* from = grad_out + centre * map.pitch + first;
            const uint8_t* winner = argmax + centre * map.channels + first;
            const uint8_t code = uint8_t((p + radius) * (2 * radius + 1) + q + radius);
            if (tile == kTile) {
              for (int64_t c = 0; c < kTile; ++c) {
                const A value = A(from[c]);  // always read, so that the loop needs no branch
                sum[c] += winner[c] == code ? value : A(0);
              }
            } else {
              for (int64_t c = 0; c < tile; ++c) sum[c] += winner[c] == code ? A(from[c]) : A(0);
            }
          }
        }
        T* to = grad_in + pixel * map.pitch + first;
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
