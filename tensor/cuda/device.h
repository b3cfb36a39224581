// SPDX-License-Identifier: MIT
// Which GPUs there are, and whether this build can use them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ydistill::cuda {

struct DeviceInfo {
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  int64_t memory_bytes = 0;
  int multiprocessors = 0;
};

/// Number of GPUs; 0 where there is no driver or no device.
int device_count();
/// One line that says why no GPU can be used; empty if there is one.
std::string why_no_device();
/// throws DeviceError as require_device.
DeviceInfo device_info(int index);
/// Makes the device the thread's current one. throws DeviceError in one line: no driver, a driver
/// that is too old for this build, no such device, a compute capability without kernels here.
void require_device(int index);

}  // namespace ydistill::cuda
