// SPDX-License-Identifier: MIT
// Shared memory for tensors of different shapes, of which one is in use at a time.
#pragma once

#include <memory>
#include <utility>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// Grows to the largest tensor requested and never shrinks. All its tensors share its memory; those
/// made before it grew keep the old block.
class StorageRoom {
 public:
  /// allocate(nbytes) -> std::shared_ptr<Storage>, called if the present block is too small.
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
