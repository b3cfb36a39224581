// SPDX-License-Identifier: MIT
#include <ydistill/tensor/tensor.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include <ydistill/tensor/dry_run.h>
#include <ydistill/tensor/parallel.h>

#ifdef YD_HAVE_CUDA
#include <ydistill/tensor/cuda/convert.h>
#include <ydistill/tensor/cuda/memory.h>
#endif

namespace ydistill {
namespace {

constexpr int64_t kElementsPerTask = 1 << 16;

template <class F>
decltype(auto) dispatch_any(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat32:
      return f(float());
    case DType::kFloat64:
      return f(double());
    case DType::kBFloat16:
      return f(BFloat16());
    case DType::kUInt8:
      return f(uint8_t());
    case DType::kInt64:
      return f(int64_t());
  }
  throw DTypeError("tensor: unknown dtype {}", int(dtype));
}

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<From, BFloat16>) {
    return convert<To>(float(value));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return BFloat16(float(value));
  } else {
    return To(value);
  }
}

void convert_on_cpu(const Tensor& to, const Tensor& from) {
  dispatch_any(to.dtype(), [&](auto to_type) {
    dispatch_any(from.dtype(), [&](auto from_type) {
      using To = decltype(to_type);
      using From = decltype(from_type);
      To* const out = to.data<To>();
      const From* const in = from.data<From>();
      parallel_ranges(to.numel(), kElementsPerTask, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = convert<To>(in[i]);
      });
    });
  });
}

void fill_on_cpu(const Tensor& t, double value) {
  dispatch_any(t.dtype(), [&](auto type) {
    using T = decltype(type);
    std::fill_n(t.data<T>(), t.numel(), convert<T>(value));
  });
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor t;
  t.shape_ = shape;
  t.dtype_ = dtype;
  t.storage_ = allocate_storage(t.nbytes(), device);
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  if (device.is_cpu()) {
    const int64_t nbytes = shape.numel() * size_of(dtype);
    if (auto pages = allocate_zero_pages(nbytes)) return over(std::move(pages), 0, shape, dtype);
  }
  const Tensor t = empty(shape, dtype, device);
  t.zero();
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  const Tensor t = empty(shape, dtype, device);
  t.fill(value);
  return t;
}

template <class T>
Tensor Tensor::of(const Shape& shape, std::span<const T> values) {
  if (int64_t(values.size()) != shape.numel()) {
    throw ShapeError("tensor: {} holds {} values, got {}", shape.str(), shape.numel(),
                     values.size());
  }
  const Tensor t = empty(shape, dtype_of<T>);
  if (!values.empty()) std::memcpy(t.raw(), values.data(), values.size_bytes());
  return t;
}

template Tensor Tensor::of(const Shape&, std::span<const float>);
template Tensor Tensor::of(const Shape&, std::span<const double>);
template Tensor Tensor::of(const Shape&, std::span<const uint8_t>);
template Tensor Tensor::of(const Shape&, std::span<const int64_t>);

Tensor Tensor::over(std::shared_ptr<Storage> storage, int64_t offset_bytes, const Shape& shape,
                    DType dtype) {
  Tensor t;
  t.storage_ = std::move(storage);
  t.offset_ = offset_bytes;
  t.shape_ = shape;
  t.dtype_ = dtype;
  if (offset_bytes < 0 || t.nbytes() > t.storage_->nbytes() - offset_bytes) {
    throw ShapeError("tensor: {} at byte {} does not fit into {} bytes", t.str(), offset_bytes,
                     t.storage_->nbytes());
  }
  return t;
}

void Tensor::check_access(DType wanted, DeviceType where) const {
  if (dtype_ != wanted) {
    throw DTypeError("tensor: {} read as {}", str(), name_of(wanted));
  }
  if (device().type != where) {
    throw DeviceError("tensor: {} is on {}, an operation of the {} asks for it", str(),
                      device().str(), where == DeviceType::kCpu ? "CPU" : "GPU");
  }
}

double Tensor::item() const {
  if (numel() != 1) throw ShapeError("item: takes a tensor of one element, got {}", str());
  return at(0);
}

double Tensor::at(int64_t i) const {
  if (i < 0 || i >= numel()) throw ShapeError("at: {} has no element {}", str(), i);
  if (device().is_cuda()) return reshape({-1}).slice(i, i + 1).to(Device::cpu()).at(0);
  return dispatch_any(dtype_,
                      [&](auto type) { return convert<double>(data<decltype(type)>()[i]); });
}

Tensor Tensor::reshape(std::initializer_list<int64_t> sizes) const {
  std::vector<int64_t> wanted(sizes);
  int64_t known = 1;
  int64_t* open = nullptr;
  for (int64_t& size : wanted) {
    if (size == -1 && open == nullptr) {
      open = &size;
    } else {
      known *= size;
    }
  }
  if (open != nullptr) *open = known > 0 ? numel() / known : 0;
  return reshape(Shape(wanted));
}

Tensor Tensor::reshape(const Shape& shape) const {
  if (shape.numel() != numel()) {
    throw ShapeError("reshape: {} has {} elements, {} has {}", str(), numel(), shape.str(),
                     shape.numel());
  }
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  if (rank() == 0 || begin < 0 || end < begin || end > size(0)) {
    throw ShapeError("slice: {} has no rows {}..{}", str(), begin, end);
  }
  std::vector<int64_t> sizes(shape_.sizes().begin(), shape_.sizes().end());
  const int64_t row_bytes = size(0) > 0 ? nbytes() / size(0) : 0;
  sizes[0] = end - begin;
  Tensor t = *this;
  t.offset_ += begin * row_bytes;
  t.shape_ = Shape(sizes);
  return t;
}

Tensor Tensor::clone() const {
  const Tensor t = empty(shape_, dtype_, device());
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  const Tensor t = empty(shape_, dtype, device());
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(Device device) const {
  if (!defined() || device == this->device()) return *this;
  const Tensor t = empty(shape_, dtype_, device);
  t.copy_from(*this);
  return t;
}

void Tensor::copy_from(const Tensor& source) const {
  if (source.shape() != shape_) {
    throw ShapeError("copy_from: {} into {}", source.str(), str());
  }
  if (numel() == 0 || (DryRun::is_on() && device().is_cpu())) return;
  if (source.dtype() == dtype_) {
    if (device().is_cpu() && source.device().is_cpu()) {
      std::memmove(raw(), source.raw(), size_t(nbytes()));
    } else {
      YD_BACKEND(Device::cuda(), void(),
                 cuda::copy(raw(), device(), source.raw(), source.device(), nbytes()));
    }
    return;
  }
  if (source.device() != device()) return copy_from(source.to(device()));
  YD_BACKEND(device(), convert_on_cpu(*this, source), cuda::convert(*this, source));
}

void Tensor::fill(double value) const {
  if (DryRun::is_on() && device().is_cpu()) return;
  YD_BACKEND(device(), fill_on_cpu(*this, value), cuda::fill(*this, value));
}

void Tensor::zero() const {
  if (numel() == 0 || (DryRun::is_on() && device().is_cpu())) return;
  YD_BACKEND(device(), void(std::memset(raw(), 0, size_t(nbytes()))),
             cuda::zero(raw(), device(), nbytes()));
}

std::string Tensor::str() const {
  return fmt::format("{} {}{}", name_of(dtype_), shape_.str(),
                     device().is_cpu() ? "" : " on " + device().str());
}

namespace {

template <class T>
bool is_finite(T x) {
  return std::isfinite(convert<double>(x));
}
template <>
bool is_finite(float x) {  // by its exponent bits, so that a loop over many vectorises
  return (std::bit_cast<uint32_t>(x) & 0x7f800000u) != 0x7f800000u;
}

}  // namespace

bool all_finite(const Tensor& t) {
  if (t.dtype() == DType::kUInt8 || t.dtype() == DType::kInt64) return true;
  if (t.device().is_cuda()) return all_finite(t.to(Device::cpu()));
  return dispatch_any(t.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* x = t.data<T>();
    std::atomic<bool> all = true;
    parallel_ranges(t.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
      bool finite = true;
      for (int64_t i = begin; i < end; ++i) finite &= is_finite(x[i]);
      if (!finite) all.store(false, std::memory_order_relaxed);
    });
    return all.load();
  });
}

}  // namespace ydistill
