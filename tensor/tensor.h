// SPDX-License-Identifier: MIT
// Tensor: a handle to dense numbers in row-major order.
//
// There are no strides: a tensor is always dense, the last axis fastest. Activations are NHWC,
// convolution weights OHWI. Copying a Tensor copies the handle; the numbers are shared. Views
// (reshape, slice along the first axis) share them too. A new tensor's memory comes from the
// thread's arena if one is open (arena.h), else from the heap; aligned to 64 bytes (GPU: 256).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/device.h>
#include <ydistill/tensor/dtype.h>
#include <ydistill/tensor/shape.h>

namespace ydistill {

class Tensor {
 public:
  /// An undefined tensor: defined() is false.
  Tensor() = default;

  /// Uninitialised. throws OutOfMemoryError.
  static Tensor empty(const Shape& shape, DType dtype = DType::kFloat32, Device device = {});
  static Tensor zeros(const Shape& shape, DType dtype = DType::kFloat32, Device device = {});
  static Tensor full(const Shape& shape, double value, DType dtype = DType::kFloat32,
                     Device device = {});
  /// A copy of `values`. throws ShapeError if their number is not shape.numel().
  template <class T>
  static Tensor of(const Shape& shape, std::span<const T> values);
  template <class T>
  static Tensor of(const Shape& shape, const std::vector<T>& values) {
    return of<T>(shape, std::span<const T>(values));
  }
  static Tensor of(const Shape& shape, std::initializer_list<float> values) {
    return of<float>(shape, std::span<const float>(values.begin(), values.size()));
  }
  /// A tensor in existing storage, from `offset_bytes` on. throws ShapeError if that is too small.
  static Tensor over(std::shared_ptr<Storage> storage, int64_t offset_bytes, const Shape& shape,
                     DType dtype);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t size(int axis) const { return shape_[axis]; }
  int64_t numel() const { return shape_.numel(); }
  int64_t nbytes() const { return numel() * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device() : Device(); }

  /// Address of the numbers in CPU memory. throws DTypeError if T is not the tensor's element type,
  /// DeviceError for a tensor on a GPU.
  template <class T>
  T* data() const {
    check_access(dtype_of<T>, DeviceType::kCpu);
    return reinterpret_cast<T*>(raw());
  }
  /// Address of the numbers on a GPU, for kernels. throws DTypeError, DeviceError.
  template <class T>
  T* device_data() const {
    check_access(dtype_of<T>, DeviceType::kCuda);
    return reinterpret_cast<T*>(raw());
  }
  template <class T>
  std::span<T> span() const {
    return {data<T>(), size_t(numel())};
  }
  std::byte* raw() const { return storage_ ? storage_->data() + offset_ : nullptr; }
  /// The value of a one-element tensor as double. throws ShapeError.
  double item() const;
  /// Element `i` in row-major order as double, whatever the dtype.
  double at(int64_t i) const;

  /// A view with other sizes. One size may be -1 (inferred). throws ShapeError.
  Tensor reshape(std::initializer_list<int64_t> sizes) const;
  Tensor reshape(const Shape& shape) const;
  /// A view of [begin, end) of the first axis. throws ShapeError.
  Tensor slice(int64_t begin, int64_t end) const;
  /// A copy with memory of its own.
  Tensor clone() const;
  /// A converted copy; the tensor itself if it already has the dtype.
  Tensor to(DType dtype) const;
  /// A copy on another device, complete on return; the tensor itself if it is already there.
  Tensor to(Device device) const;
  /// Copies into this tensor, converting the dtype, from any device. throws ShapeError, DTypeError.
  void copy_from(const Tensor& source) const;
  void fill(double value) const;
  void zero() const;

  /// True if no other tensor shares the storage, so that an operation may overwrite it.
  bool is_unique() const { return storage_.use_count() == 1; }
  bool shares_storage(const Tensor& other) const { return storage_ == other.storage_; }

  /// "float32 [2,3]"
  std::string str() const;

 private:
  void check_access(DType wanted, DeviceType where) const;

  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;  // bytes
  Shape shape_{0};
  DType dtype_ = DType::kFloat32;
};

/// True if every number is finite (integers always are). A GPU's tensor is copied to the CPU for
/// it.
bool all_finite(const Tensor& t);

}  // namespace ydistill
