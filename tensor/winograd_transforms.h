// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): the common part of Winograd's algorithms, from pixels to tiles of
// transformed pixels.
//
// y = A^T ((G w) (B^T x)), where A and G are powers of the points, G's divided by the products of
// their differences, and row j of B^T is the polynomial of all factors (x - point) but the j-th.
// Beside float32 there are 6 points along an axis: 0, +-a, +-b and infinity. a = 1/sqrt(2) and
// b = sqrt(2) keep all entries near 1: less rounding than with the usual 1 and 2, about the
// definition's. Beside bfloat16 there are 7, 0 and three pairs: fewer products, twice the rounding.
#pragma once

#include <ydistill/tensor/register_tile.h>

namespace ydistill::YD_CPU_LEVEL {

inline constexpr int kWinogradPoints = 6;
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

/// Of the seven points the three pairs, and what comes of them: the square, the sum and the product
/// of the other two squares, one over the product of the differences from all other points.
struct PointPair {
  float point, square, others_sum, others_product, inverse;
};
constexpr PointPair point_pair(float point, float other, float another) {
  const float p = point * point, q = other * other, r = another * another;
  return {point, p, q + r, q * r, 1 / (2 * p * (p - q) * (p - r))};
}
inline constexpr float kPoints[3] = {0.5, 1.1f, 2};
inline constexpr PointPair kPairs[3] = {point_pair(kPoints[0], kPoints[1], kPoints[2]),
                                        point_pair(kPoints[1], kPoints[0], kPoints[2]),
                                        point_pair(kPoints[2], kPoints[0], kPoints[1])};
/// The product of the differences of 0 from all other points.
inline constexpr float kDifferencesOf0 = -kPairs[0].square * kPairs[0].others_product;

/// B^T of seven numbers.
YD_HOST_DEVICE void transform_wide_input(const Vector* x, int step, Vector* to, int to_step) {
  const Vector x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step],
               x5 = x[5 * step], x6 = x[6 * step];
  constexpr float kSum = kPairs[0].square + kPairs[0].others_sum;
  constexpr float kProducts = kPairs[0].square * kPairs[0].others_sum + kPairs[0].others_product;
  to[0] = x6 - kSum * x4 + kProducts * x2 + kDifferencesOf0 * x0;
  for (int i = 0; i < 3; ++i) {
    const PointPair& p = kPairs[i];
    const Vector even = x6 - p.others_sum * x4 + p.others_product * x2;
    const Vector odd = x5 - p.others_sum * x3 + p.others_product * x1;
    to[(2 * i + 1) * to_step] = even + p.point * odd;
    to[(2 * i + 2) * to_step] = even - p.point * odd;
  }
}

/// A^T of seven numbers: five, the powers of the points from 0 to 4.
YD_HOST_DEVICE void transform_wide_sums(const Vector* m, int step, Vector* to, int to_step) {
  Vector sums[3], differences[3];
  for (int i = 0; i < 3; ++i) {
    sums[i] = m[(2 * i + 1) * step] + m[(2 * i + 2) * step];
    differences[i] = kPairs[i].point * (m[(2 * i + 1) * step] - m[(2 * i + 2) * step]);
  }
  const auto of = [](float a, float b, float c, const Vector* v) __attribute__((always_inline)) {
    return a * v[0] + b * v[1] + c * v[2];
  };
  constexpr float a = kPairs[0].square, b = kPairs[1].square, c = kPairs[2].square;
  to[0] = m[0] + sums[0] + sums[1] + sums[2];
  to[to_step] = differences[0] + differences[1] + differences[2];
  to[2 * to_step] = of(a, b, c, sums);
  to[3 * to_step] = of(a, b, c, differences);
  to[4 * to_step] = of(a * a, b * b, c * c, sums);
}

/// Pictures [batch, height, width, channels].
template <class T>
struct Picture {
  const T* data;
  int64_t batch, height, width, channels;
};

/// Pictures that side x side tiles cover, the last of a row or column maybe in part.
struct Tiling {
  int64_t side, batch, height, width;
};

YD_HOST_DEVICE int64_t tiles_of(const Tiling& t) {
  return t.batch * ceil_div(t.height, t.side) * ceil_div(t.width, t.side);
}

/// Which tile of the picture, and of which.
struct Place {
  int64_t picture, row, column;  // of its first pixel
};

YD_HOST_DEVICE Place place_of(const Tiling& t, int64_t tile) {
  const int64_t across = ceil_div(t.width, t.side), down = ceil_div(t.height, t.side);
  return {tile / (across * down), tile / across % down * t.side, tile % across * t.side};
}

YD_HOST_DEVICE Place next_of(const Tiling& t, Place place) {
  place.column += t.side;
  if (place.column < t.width) return place;
  place.column = 0;
  place.row += t.side;
  if (place.row < t.height) return place;
  return {place.picture + 1, 0, 0};
}

/// The kSize x kSize pixels from (row, column) on, zeros outside of the picture, transformed along
/// both axes to kTo x kTo points: channel c of point k goes to
/// to[k point_step + c / kPanel panel_step + c % kPanel].
template <int kSize, int kTo, class T, class Transform>
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
    Vector half[kSize * kTo];
    for (int i = 0; i < kSize; ++i) {
      Vector pixels[kSize];
      for (int j = 0; j < kSize; ++j) pixels[j] = load(from[i * kSize + j] + c);
      transform(pixels, 1, half + i * kTo, 1);
    }
    float* const out = to + c / kPanel * panel_step + c % kPanel;
    for (int j = 0; j < kTo; ++j) {
      Vector done[kTo];
      transform(half + j, kTo, done, 1);
      for (int i = 0; i < kTo; ++i) store(done[i], out + (i * kTo + j) * point_step);
    }
  }
}

}  // namespace ydistill::YD_CPU_LEVEL
