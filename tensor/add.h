// SPDX-License-Identifier: MIT
// Sums over whole tensors.
#pragma once

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// sum += other, element by element. float32 or float64.
/// throws ShapeError, DTypeError.
void add_into(const Tensor& sum, const Tensor& other);

namespace cuda {
void add_into(const Tensor& sum, const Tensor& other);
}

struct AddKernels {
  void (*add_f32)(float* sum, const float* other, int64_t n);
  void (*add_f64)(double* sum, const double* other, int64_t n);
};
YD_DECLARE_CPU_KERNELS(AddKernels, add_kernels);

}  // namespace ydistill
