// SPDX-License-Identifier: MIT
// Memory for tensors of many shapes that are used one after another.
#pragma once

#include <memory>
#include <utility>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// Grows to the largest tensor asked for and never shrinks. All tensors from it share its memory;
/// those made before it grew keep what they had.
class StorageRoom {
 public:
  /// allocate(nbytes) -> std::shared_ptr<Storage>, called where what is there is too small.
  template <class Allocate>
  Tensor tensor(const Shape& shape, DType dtype, Allocate&& allocate) {
    const int64_t nbytes = shape.numel() * size_of(dtype);
    if (!storage_ || storage_->nbytes() < nbytes) storage_ = allocate(nbytes);
    return Tensor::over(storage_, 0, shape, dtype);
  }

 private:
  std::shared_ptr<Storage> storage_;
};

}  // namespace ydistill
