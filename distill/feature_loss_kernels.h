// SPDX-License-Identifier: MIT
// The loops of the feature term over the positions of a map.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// One scale.
struct FeatureMaps {
  Tensor student, teacher;  ///< [N,H,W,C]
  Tensor grad;              ///< of the student's, fully written; undefined where not wanted
  double factor = 0;        ///< of the sum over channels of 1 - r
};

/// What grad = slope_t (t - mean_t) + slope_s (s - mean_s) needs, each [channels].
template <class A>
struct FeatureSlopes {
  const A *mean_s, *mean_t, *slope_s, *slope_t;
};

inline constexpr int64_t kNumFeatureSums = 5;

/// T: element type of the maps, [rows, channels]; A: of the [channels] arrays.
template <class T, class A = Arithmetic<T>>
struct FeatureKernels {
  /// Sums in the order of FeatureSums, with the first row of each map subtracted, in chunks of rows
  /// (tensor/channel_chunks.h): partial[chunk][5][channels].
  void (*sums)(const T* student, const T* teacher, int64_t rows, int64_t channels,
               int64_t rows_per_chunk, double* partial);
  void (*grad)(const T* student, const T* teacher, FeatureSlopes<A> slopes, int64_t rows,
               int64_t channels, T* out);
};

struct FeatureKernelTable {
  FeatureKernels<float> f32;
  FeatureKernels<double> f64;
  FeatureKernels<BFloat16> bf16;
};
YD_DECLARE_CPU_KERNELS(FeatureKernelTable, feature_kernels);

namespace cuda {
/// Writes the gradients, term (float64 [1]) and total (float32 []). All on one GPU.
void feature_loss(const std::vector<FeatureMaps>& scales, const Tensor& term, const Tensor& total);
}  // namespace cuda

}  // namespace ydistill
