// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): Winograd's algorithms for convolutions with 3 x 3 weights, as what
// happens along one axis; the other axis is the same. An Axis says
//
//   kInputs    pixels of x that a tile reads, from first_input(its first output) on
//   kProducts  numbers that they are transformed to; number p is multiplied by weight weight_of(p)
//   kWeights   numbers that 3 taps are transformed to
//   kSums      the product p is added to the sum sum_of(p)
//   kOutputs   numbers that the sums are transformed to
//
// Products of one weight follow each other, and so do the weights.
#pragma once

#include <ydistill/tensor/winograd_transforms.h>

namespace ydistill::YD_CPU_LEVEL {

inline constexpr float kA2 = 0.5, kB2 = 2;  // squares of the points
inline constexpr float kOfA = 1 / (2 * kA2 * (kA2 - kB2)), kOfB = 1 / (2 * kB2 * (kB2 - kA2));

/// What of the products at the points +-a and +-b the outputs share.
struct Pairs {
  Vector sum_a, difference_a, sum_b, difference_b;
};
YD_HOST_DEVICE Pairs pairs_of(const Vector* m, int step) {
  return {m[step] + m[2 * step], m[step] - m[2 * step], m[3 * step] + m[4 * step],
          m[3 * step] - m[4 * step]};
}

/// Transformed weights from what even and odd powers of the points +-a and +-b give; first and last
/// at the points 0 and infinity.
YD_HOST_DEVICE void put_points(const Vector& first, const Vector& even_a, const Vector& odd_a,
                               const Vector& even_b, const Vector& odd_b, const Vector& last,
                               Vector* to, int to_step) {
  to[0] = first * (1 / (kA2 * kB2));
  to[to_step] = even_a + odd_a;
  to[2 * to_step] = even_a - odd_a;
  to[3 * to_step] = even_b + odd_b;
  to[4 * to_step] = even_b - odd_b;
  to[5 * to_step] = last;
}

/// F(4, 3): 4 outputs of a convolution of stride 1 take 6 products instead of 12.
struct Stride1 {
  static constexpr int kInputs = 6, kProducts = 6, kWeights = 6, kSums = 6, kOutputs = 4;
  static constexpr int64_t first_input(int64_t output) { return output - 1; }
  static constexpr int weight_of(int product) { return product; }
  static constexpr int sum_of(int product) { return product; }

  static YD_HOST_DEVICE void transform_inputs(const Vector* x, int step, Vector* to, int to_step) {
    transform_input(x, step, to, to_step);
  }

  static YD_HOST_DEVICE void transform_sums(const Vector* m, int step, Vector* to, int to_step) {
    const Pairs p = pairs_of(m, step);
    to[0] = m[0] + p.sum_a + p.sum_b;
    to[to_step] = kA * p.difference_a + kB * p.difference_b;
    to[2 * to_step] = 0.5f * p.sum_a + 2.0f * p.sum_b;
    to[3 * to_step] = (kA * 0.5f) * p.difference_a + (kB * 2.0f) * p.difference_b + m[5 * step];
  }

  static YD_HOST_DEVICE void transform_weights(const Vector* w, int step, Vector* to, int to_step) {
    const Vector w0 = w[0], w1 = w[step], w2 = w[2 * step];
    put_points(w0, (w0 + kA2 * w2) * kOfA, (kA * kOfA) * w1, (w0 + kB2 * w2) * kOfB,
               (kB * kOfB) * w1, w2, to, to_step);
  }
};

/// F(5, 3): 5 outputs take 7 products instead of 15.
struct WideStride1 {
  static constexpr int kInputs = 7, kProducts = 7, kWeights = 7, kSums = 7, kOutputs = 5;
  static constexpr int64_t first_input(int64_t output) { return output - 1; }
  static constexpr int weight_of(int product) { return product; }
  static constexpr int sum_of(int product) { return product; }

  static YD_HOST_DEVICE void transform_inputs(const Vector* x, int step, Vector* to, int to_step) {
    transform_wide_input(x, step, to, to_step);
  }

  static YD_HOST_DEVICE void transform_sums(const Vector* m, int step, Vector* to, int to_step) {
    transform_wide_sums(m, step, to, to_step);
  }

  static YD_HOST_DEVICE void transform_weights(const Vector* w, int step, Vector* to, int to_step) {
    const Vector w0 = w[0], w1 = w[step], w2 = w[2 * step];
    to[0] = w0 * (1 / kDifferencesOf0);
    for (int i = 0; i < 3; ++i) {
      const PointPair& p = kPairs[i];
      const Vector even = (w0 + p.square * w2) * p.inverse;
      const Vector odd = (p.point * p.inverse) * w1;
      to[(2 * i + 1) * to_step] = even + odd;
      to[(2 * i + 2) * to_step] = even - odd;
    }
  }
};

/// F(5, 2) of the taps w0 and w2; w1 stays as it is.
YD_HOST_DEVICE void transform_outer_weights(const Vector* w, int step, Vector* to, int to_step) {
  const Vector w0 = w[0], w1 = w[step], w2 = w[2 * step];
  put_points(w0, kOfA * w0, (kA * kOfA) * w2, kOfB * w0, (kB * kOfB) * w2, w2, to, to_step);
  to[6 * to_step] = w1;
}

/// Stride 2: with odd[i] = x[2i - 1] and even[i] = x[2i],
///   y[i] = (w0 odd[i] + w2 odd[i + 1]) + w1 even[i].
/// The bracket is F(5, 2): 5 outputs take 6 products instead of 10, with those of w1 11 instead of
/// 15. What the points 0 and infinity give goes to one output alone, as the products of w1 do: they
/// are added up at once.
struct Stride2 {
  static constexpr int kInputs = 11, kProducts = 11, kWeights = 7, kSums = 9, kOutputs = 5;
  static constexpr int64_t first_input(int64_t output) { return 2 * output - 1; }
  static constexpr int weight_of(int product) { return product < 6 ? product : 6; }
  static constexpr int sum_of(int product) {
    return product < 6 ? product : product == 6 ? 0 : product == 10 ? 5 : product - 1;
  }

  static YD_HOST_DEVICE void transform_inputs(const Vector* x, int step, Vector* to, int to_step) {
    transform_input(x, 2 * step, to, to_step);
    for (int i = 0; i < 5; ++i) to[(6 + i) * to_step] = x[(2 * i + 1) * step];
  }

  static YD_HOST_DEVICE void transform_sums(const Vector* m, int step, Vector* to, int to_step) {
    const Pairs p = pairs_of(m, step);
    to[0] = m[0] + p.sum_a + p.sum_b;
    to[to_step] = m[6 * step] + kA * p.difference_a + kB * p.difference_b;
    to[2 * to_step] = m[7 * step] + 0.5f * p.sum_a + 2.0f * p.sum_b;
    to[3 * to_step] = m[8 * step] + (kA * 0.5f) * p.difference_a + (kB * 2.0f) * p.difference_b;
    to[4 * to_step] = m[5 * step] + 0.25f * p.sum_a + 4.0f * p.sum_b;
  }

  static YD_HOST_DEVICE void transform_weights(const Vector* w, int step, Vector* to, int to_step) {
    transform_outer_weights(w, step, to, to_step);
  }
};

/// The gradient of the input of that, with the taps turned round, v0 = w2:
///   grad x[2i] = v1 grad y[i]    grad x[2i + 1] = v0 grad y[i] + v2 grad y[i + 1]
/// 10 outputs, of which F(5, 2) gives the odd ones.
struct Stride2Backward {
  static constexpr int kInputs = 6, kProducts = 11, kWeights = 7, kSums = 11, kOutputs = 10;
  static constexpr int64_t first_input(int64_t output) { return output / 2; }
  static constexpr int weight_of(int product) { return product < 6 ? product : 6; }
  static constexpr int sum_of(int product) { return product; }

  static YD_HOST_DEVICE void transform_inputs(const Vector* x, int step, Vector* to, int to_step) {
    transform_input(x, step, to, to_step);
    for (int i = 0; i < 5; ++i) to[(6 + i) * to_step] = x[i * step];
  }

  static YD_HOST_DEVICE void transform_sums(const Vector* m, int step, Vector* to, int to_step) {
    const Pairs p = pairs_of(m, step);
    for (int i = 0; i < 5; ++i) to[2 * i * to_step] = m[(6 + i) * step];
    to[to_step] = m[0] + p.sum_a + p.sum_b;
    to[3 * to_step] = kA * p.difference_a + kB * p.difference_b;
    to[5 * to_step] = 0.5f * p.sum_a + 2.0f * p.sum_b;
    to[7 * to_step] = (kA * 0.5f) * p.difference_a + (kB * 2.0f) * p.difference_b;
    to[9 * to_step] = m[5 * step] + 0.25f * p.sum_a + 4.0f * p.sum_b;
  }

  static YD_HOST_DEVICE void transform_weights(const Vector* w, int step, Vector* to, int to_step) {
    transform_outer_weights(w, step, to, to_step);
  }
};

}  // namespace ydistill::YD_CPU_LEVEL
