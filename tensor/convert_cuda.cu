// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/convert.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

/// The type in which a number is converted: double for float64, float for the others.
template <class T>
struct Between {
  using type = float;
};
template <>
struct Between<double> {
  using type = double;
};

template <class To, class From>
struct Convert {
  To* to;
  const From* from;
  __device__ void operator()(int64_t i) const {
    using FromNumber = typename Between<From>::type;
    using ToNumber = typename Between<To>::type;
    to[i] = To(ToNumber(FromNumber(from[i])));
  }
};

template <class T>
struct Fill {
  T* to;
  T value;
  __device__ void operator()(int64_t i) const { to[i] = value; }
};

template <class F>
void dispatch_real(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat32:
      return f(float());
    case DType::kFloat64:
      return f(double());
    case DType::kBFloat16:
      return f(BFloat16());
    default:
      throw DTypeError("convert: on a GPU it takes float32, float64 and bfloat16, got {}",
                       name_of(dtype));
  }
}

template <class T>
void fill_as(const Tensor& t, T value) {
  for_each(t.numel(), Fill<T>{t.device_data<T>(), value});
}

}  // namespace

void convert(const Tensor& to, const Tensor& from) {
  check_same_device("convert", to, from);
  dispatch_real(to.dtype(), [&](auto to_type) {
    dispatch_real(from.dtype(), [&](auto from_type) {
      using To = decltype(to_type);
      using From = decltype(from_type);
      for_each(to.numel(), Convert<To, From>{to.device_data<To>(), from.device_data<From>()});
    });
  });
}

void fill(const Tensor& t, double value) {
  switch (t.dtype()) {
    case DType::kFloat32:
      return fill_as(t, float(value));
    case DType::kFloat64:
      return fill_as(t, value);
    case DType::kBFloat16:
      return fill_as(t, BFloat16(float(value)));
    case DType::kUInt8:
      return fill_as(t, uint8_t(value));
    case DType::kInt64:
      return fill_as(t, int64_t(value));
  }
}

}  // namespace ydistill::cuda
