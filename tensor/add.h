// SPDX-License-Identifier: MIT
// Element-wise addition.
#pragma once

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// sum += other, element by element. float32, float64 or bfloat16.
/// throws ShapeError, DTypeError.
void add_into(const Tensor& sum, const Tensor& other);

namespace cuda {
void add_into(const Tensor& sum, const Tensor& other);
}

struct AddKernels {
  void (*f32)(float* sum, const float* other, int64_t n);
  void (*f64)(double* sum, const double* other, int64_t n);
  void (*bf16)(BFloat16* sum, const BFloat16* other, int64_t n);
};
YD_DECLARE_CPU_KERNELS(AddKernels, add_kernels);

}  // namespace ydistill
