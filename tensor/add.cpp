// SPDX-License-Identifier: MIT
#include <ydistill/tensor/add.h>

namespace ydistill {

namespace {

void add_on_cpu(const Tensor& sum, const Tensor& other) {
  dispatch_activation(sum.dtype(), "add_into", [&](auto type) {
    using T = decltype(type);
    kernels_for<T>(add_kernels())(sum.data<T>(), other.data<T>(), sum.numel());
  });
}

}  // namespace

void add_into(const Tensor& sum, const Tensor& other) {
  if (sum.shape() != other.shape()) {
    throw ShapeError("add_into: {} into {}", other.str(), sum.str());
  }
  if (sum.dtype() != other.dtype()) {
    throw DTypeError("add_into: {} into {}", other.str(), sum.str());
  }
  if (sum.device() != other.device()) {
    throw DeviceError("add_into: {} into {}", other.str(), sum.str());
  }
  YD_BACKEND(sum.device(), add_on_cpu(sum, other), cuda::add_into(sum, other));
}

}  // namespace ydistill
