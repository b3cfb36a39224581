// SPDX-License-Identifier: MIT
#include <bit>
#include <type_traits>

#include <ydistill/layers/focus.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

template <class T>
YD_HOST_DEVICE T scaled(uint8_t value) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return value;
  } else {
    using A = Arithmetic<T>;
    return T(A(value) / A(255));
  }
}

/// v / 255 for every byte; a table for loops that do not vectorise.
template <class T>
struct Scaled {
  T of[256];
};

template <class T>
Scaled<T> scaled_bytes() {
  Scaled<T> table;
  for (int v = 0; v < 256; ++v) table.of[v] = scaled<T>(uint8_t(v));
  return table;
}

/// Bytes stay bytes: combines the six bytes of two pixels with the six of the row below in
/// registers.
YD_HOST_DEVICE void gather_bytes(const uint8_t* even, const uint8_t* odd, uint8_t* to) {
  constexpr uint64_t kPixel = 0xffffff;
  const auto six = [](const uint8_t* from) {
    uint32_t low;
    uint16_t high;
    __builtin_memcpy(&low, from, sizeof(low));
    __builtin_memcpy(&high, from + sizeof(low), sizeof(high));
    return uint64_t(high) << 32 | low;
  };
  const uint64_t above = six(even), below = six(odd);
  const uint64_t first = (above & kPixel) | (below & kPixel) << 24 | above >> 24 << 48;
  const uint32_t last = uint32_t(above >> 40 | below >> 24 << 8);
  __builtin_memcpy(to, &first, sizeof(first));
  __builtin_memcpy(to + sizeof(first), &last, sizeof(last));
}

template <class T>
void focus(const uint8_t* images, int64_t batch, int64_t height, int64_t width, T* out) {
  const int64_t half_height = height / 2, half_width = width / 2;
  const Scaled<T> table = scaled_bytes<T>();
  const T* of = table.of;
  parallel_for(batch * half_height, 1, [=](int64_t row) {
    const uint8_t* even = images + row * 2 * width * 3;
    const uint8_t* odd = even + width * 3;
    T* to = out + row * half_width * 12;
    for (int64_t j = 0; j < half_width; ++j) {
      if constexpr (std::is_same_v<T, uint8_t> && std::endian::native == std::endian::little) {
        gather_bytes(even + j * 6, odd + j * 6, to + j * 12);
        continue;
      }
      for (int64_t c = 0; c < 3; ++c) {
        to[j * 12 + c] = of[even[j * 6 + c]];
        to[j * 12 + 3 + c] = of[odd[j * 6 + c]];
        to[j * 12 + 6 + c] = of[even[j * 6 + 3 + c]];
        to[j * 12 + 9 + c] = of[odd[j * 6 + 3 + c]];
      }
    }
  });
}

template <class T>
void scale(const uint8_t* images, int64_t n, T* out) {
  parallel_ranges(n, 1 << 15, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = scaled<T>(images[i]);
  });
}

}  // namespace

const FocusKernelTable& focus_kernels() {
  static const FocusKernelTable table{{focus<float>, scale<float>},
                                      {focus<double>, scale<double>},
                                      {focus<BFloat16>, scale<BFloat16>},
                                      {focus<uint8_t>, scale<uint8_t>}};
  return table;
}

}  // namespace ydistill::YD_CPU_LEVEL
