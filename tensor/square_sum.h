// SPDX-License-Identifier: MIT
// Sums of squares, for norms.
#pragma once

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// Sum of the squares of `values`, float32 or on the CPU also float64, in double and in a fixed
/// order: the result does not depend on the threads. NaN or infinity if any value is. Synchronises
/// with a GPU.
/// throws DTypeError.
double square_sum(const Tensor& values);

/// Partial sums whose sum is the above: float64 [parts], on the device of `values`. Does not
/// synchronise and can be captured.
Tensor square_sum_parts(const Tensor& values);

namespace cuda {
/// Room for the parts of `n` values.
Tensor square_sum_room(int64_t n, Device device);
/// Fills such room.
void square_sum_parts(const Tensor& values, const Tensor& parts);
}  // namespace cuda

struct SquareSumKernels {
  /// partial[i] = sum of squares of chunk i
  void (*f32)(const float* values, int64_t n, int64_t per_chunk, double* partial);
  void (*f64)(const double* values, int64_t n, int64_t per_chunk, double* partial);
};
YD_DECLARE_CPU_KERNELS(SquareSumKernels, square_sum_kernels);

}  // namespace ydistill
