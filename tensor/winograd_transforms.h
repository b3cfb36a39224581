// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): Winograd's transforms of 6 numbers, for tiles of 6 x 6.
//
// Along each axis, with the points 0, +-a, +-b and infinity, y = A^T ((G w) (B^T x)), where A and G
// are powers of the points, G's divided by the products of their differences, and row j of B^T is
// the polynomial of all factors (x - point) but the j-th. a = 1/sqrt(2) and b = sqrt(2) keep all
// entries near 1: less rounding than with the usual 1 and 2, no more than the definition's.
#pragma once

#include <ydistill/tensor/register_tile.h>

namespace ydistill::YD_CPU_LEVEL {

inline constexpr int kWinogradIn = 6, kWinogradOut = 4, kPoints = kWinogradIn * kWinogradIn;
inline constexpr float kA = 0.707106781186547524f, kB = 1.41421356237309505f;

/// B^T of six numbers that lie `step` apart, each a vector of channels.
YD_HOST_DEVICE void transform_input(const Vector* x, int step, Vector* to, int to_step) {
  const Vector x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step],
               x5 = x[5 * step];
  const Vector even_a = x4 - 2.0f * x2, odd_a = x3 - 2.0f * x1;
  const Vector even_b = x4 - 0.5f * x2, odd_b = x3 - 0.5f * x1;
  to[0] = x0 - 2.5f * x2 + x4;
  to[to_step] = even_a + kA * odd_a;
  to[2 * to_step] = even_a - kA * odd_a;
  to[3 * to_step] = even_b + kB * odd_b;
  to[4 * to_step] = even_b - kB * odd_b;
  to[5 * to_step] = x1 - 2.5f * x3 + x5;
}

/// Pictures [batch, height, width, channels] that 4 x 4 tiles cover, the last of a row or column
/// maybe in part.
template <class T>
struct Picture {
  const T* data;
  int64_t batch, height, width, channels;
};

template <class T>
YD_HOST_DEVICE int64_t tiles_of(const Picture<T>& x) {
  return x.batch * ceil_div(x.height, kWinogradOut) * ceil_div(x.width, kWinogradOut);
}

/// Which tile of the picture, and of which.
struct Place {
  int64_t picture, row, column;  // of its first output pixel
};

template <class T>
YD_HOST_DEVICE Place place_of(const Picture<T>& x, int64_t tile) {
  const int64_t across = ceil_div(x.width, kWinogradOut), down = ceil_div(x.height, kWinogradOut);
  return {tile / (across * down), tile / across % down * kWinogradOut,
          tile % across * kWinogradOut};
}

/// The kSize x kSize pixels from (row, column) on, zeros outside of the picture, transformed along
/// both axes: channel c of point k goes to
/// to[k point_step + c / kPanel panel_step + c % kPanel].
template <int kSize, class T, class Transform>
YD_HOST_DEVICE void gather(const Picture<T>& x, int64_t picture, int64_t row, int64_t column,
                           const float* zeros, const Transform& transform, float* to,
                           int64_t point_step, int64_t panel_step) {
  const T* from[kSize * kSize];
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) {
      const int64_t r = row + i, c = column + j;
      const bool inside = r >= 0 && r < x.height && c >= 0 && c < x.width;
      const int64_t pixel = (picture * x.height + r) * x.width + c;
      from[i * kSize + j] =
          inside ? x.data + pixel * x.channels : reinterpret_cast<const T*>(zeros);
    }
  }
  for (int64_t c = 0; c < x.channels; c += kLanes) {
    Vector d[kSize * kSize], half[kSize * kWinogradIn];
    for (int i = 0; i < kSize * kSize; ++i) d[i] = load(from[i] + c);
    for (int i = 0; i < kSize; ++i) transform(d + i * kSize, 1, half + i * kWinogradIn, 1);
    float* const out = to + c / kPanel * panel_step + c % kPanel;
    for (int j = 0; j < kWinogradIn; ++j) {
      Vector done[kWinogradIn];
      transform(half + j, kWinogradIn, done, 1);
      for (int i = 0; i < kWinogradIn; ++i)
        store(done[i], out + (i * kWinogradIn + j) * point_step);
    }
  }
}

/// The 6 x 6 inputs of a tile of 4 x 4 outputs, with B^T.
template <class T>
YD_HOST_DEVICE void gather_inputs(const Picture<T>& x, const Place& place, const float* zeros,
                                  float* to, int64_t point_step, int64_t panel_step) {
  const auto transform =
      [](const Vector* d, int step, Vector* out, int out_step) __attribute__((always_inline)) {
    transform_input(d, step, out, out_step);
  };
  gather<kWinogradIn>(x, place.picture, place.row - 1, place.column - 1, zeros, transform, to,
                      point_step, panel_step);
}

}  // namespace ydistill::YD_CPU_LEVEL
