// SPDX-License-Identifier: MIT
// The device of a tensor.
#pragma once

#include <cstdint>
#include <string>

namespace ydistill {

enum class DeviceType : uint8_t { kCpu, kCuda };

struct Device {
  DeviceType type = DeviceType::kCpu;
  int index = 0;

  static constexpr Device cpu() { return {}; }
  static constexpr Device cuda(int index = 0) { return {DeviceType::kCuda, index}; }

  bool is_cpu() const { return type == DeviceType::kCpu; }
  bool is_cuda() const { return type == DeviceType::kCuda; }
  bool operator==(const Device&) const = default;
  /// "cpu", "cuda:0"
  std::string str() const { return is_cpu() ? "cpu" : "cuda:" + std::to_string(index); }
};

}  // namespace ydistill

// Runs one of two expressions: the first for a CPU, the second if `device` is a GPU. In a build
// without CUDA there are no tensors on a GPU, and the second expression is not compiled.
#ifdef YD_HAVE_CUDA
#define YD_BACKEND(device, on_cpu, on_cuda) ((device).is_cpu() ? (on_cpu) : (on_cuda))
#else
#define YD_BACKEND(device, on_cpu, on_cuda) (on_cpu)
#endif
