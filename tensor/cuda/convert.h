// SPDX-License-Identifier: MIT
// What tensor.cpp needs on a GPU besides copying bytes.
#pragma once

#include <ydistill/tensor/tensor.h>

namespace ydistill::cuda {

/// to[i] = from[i] in the dtype of `to`; both on the thread's GPU, of the same size.
/// throws DTypeError for anything but float32, float64 and bfloat16.
void convert(const Tensor& to, const Tensor& from);
/// t[i] = value, for every dtype.
void fill(const Tensor& t, double value);

}  // namespace ydistill::cuda
