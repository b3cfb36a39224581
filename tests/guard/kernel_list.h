// SPDX-License-Identifier: MIT
// The hot kernels whose instructions are counted, each over data of a fixed size.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ydistill/tensor/dtype.h>

namespace ydistill::guard {

struct NamedKernel {
  std::string name;  ///< kernel.variant.dtype
  int64_t elements;  ///< what its instructions are divided by
  /// Makes the data and returns what runs the kernel over them. It may be called any number of
  /// times and does the same work each time.
  std::function<std::function<void()>()> prepare;
};

class KernelList {
 public:
  template <class Prepare>
  void add(std::string name, int64_t elements, Prepare prepare) {
    kernels_.push_back({std::move(name), elements, std::move(prepare)});
  }
  auto begin() const { return kernels_.begin(); }
  auto end() const { return kernels_.end(); }

 private:
  std::vector<NamedKernel> kernels_;
};

/// Of the rooms tensor and layers.
void add_layer_kernels(KernelList& kernels);
void add_conv_kernels(KernelList& kernels);
/// Of the rooms yolo, distill and train.
void add_loss_kernels(KernelList& kernels);
/// Of the room data; their elements are pixels.
void add_data_kernels(KernelList& kernels);

/// n numbers from -4 to 4 without order.
template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed = 1) {
  std::vector<T> values(static_cast<size_t>(n));
  uint32_t state = seed;
  for (T& value : values) {
    state = state * 1664525u + 1013904223u;
    value = T(float(state >> 8) * (8.0f / (1 << 24)) - 4.0f);
  }
  return values;
}

/// n bytes below `limit` without order.
inline std::vector<uint8_t> levels(int64_t n, uint32_t limit = 256) {
  std::vector<uint8_t> values(static_cast<size_t>(n));
  uint32_t state = 7;
  for (uint8_t& value : values) {
    state = state * 1664525u + 1013904223u;
    value = uint8_t((state >> 16) % limit);
  }
  return values;
}

}  // namespace ydistill::guard
