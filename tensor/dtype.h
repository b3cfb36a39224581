// SPDX-License-Identifier: MIT
// Element types of tensors.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// bfloat16: the upper half of a float32. Storage only; arithmetic happens in float.
struct BFloat16 {
  uint16_t bits = 0;

  BFloat16() = default;
  YD_HOST_DEVICE explicit BFloat16(float value) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));  // the same in one instruction
#else
    const uint32_t u = std::bit_cast<uint32_t>(value);
    // Round to nearest even; a NaN gets its highest mantissa bit set so that it stays a NaN.
    const uint32_t up = value != value ? 0x400000u & ~u : 0x7fffu + ((u >> 16) & 1u);
    bits = uint16_t((u + up) >> 16);
#endif
  }
  YD_HOST_DEVICE explicit operator float() const {
    return std::bit_cast<float>(uint32_t(bits) << 16);
  }
};

enum class DType : uint8_t { kFloat32, kFloat64, kBFloat16, kUInt8, kInt64 };

constexpr int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return 4;
    case DType::kFloat64:
      return 8;
    case DType::kBFloat16:
      return 2;
    case DType::kUInt8:
      return 1;
    case DType::kInt64:
      return 8;
  }
  return 0;
}

constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kUInt8:
      return "uint8";
    case DType::kInt64:
      return "int64";
  }
  return "?";
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::kBFloat16;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUInt8;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};

template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

/// The type that numbers of type T are computed in: float for BFloat16, else T itself.
template <class T>
struct ArithmeticOf {
  using type = T;
};
template <>
struct ArithmeticOf<BFloat16> {
  using type = float;
};
template <class T>
using Arithmetic = typename ArithmeticOf<T>::type;

/// The entry for T in a table of kernels with the members f32, f64, bf16 and, for bytes, u8.
template <class T, class Table>
const auto& kernels_for(const Table& table) {
  if constexpr (std::is_same_v<T, float>) {
    return table.f32;
  } else if constexpr (std::is_same_v<T, double>) {
    return table.f64;
  } else if constexpr (std::is_same_v<T, uint8_t>) {
    return table.u8;
  } else {
    static_assert(std::is_same_v<T, BFloat16>);
    return table.bf16;
  }
}

/// Calls f with a value of the C++ type of a float32 or float64 `dtype`: f(float()) or f(double()).
/// throws DTypeError naming `op` for any other type.
template <class F>
decltype(auto) dispatch_float(DType dtype, std::string_view op, F&& f) {
  switch (dtype) {
    case DType::kFloat32:
      return f(float());
    case DType::kFloat64:
      return f(double());
    default:
      throw DTypeError("{}: takes float32 or float64, got {}", op, name_of(dtype));
  }
}

/// The same for activations, which may also be bfloat16: f(BFloat16()).
template <class F>
decltype(auto) dispatch_activation(DType dtype, std::string_view op, F&& f) {
  if (dtype == DType::kBFloat16) return f(BFloat16());
  return dispatch_float(dtype, op, std::forward<F>(f));
}

/// The same for activations in inference, which may also be bytes: f(uint8_t()).
template <class F>
decltype(auto) dispatch_inference(DType dtype, std::string_view op, F&& f) {
  if (dtype == DType::kUInt8) return f(uint8_t());
  return dispatch_activation(dtype, op, std::forward<F>(f));
}

}  // namespace ydistill
