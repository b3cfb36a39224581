// SPDX-License-Identifier: MIT
// The training pictures in GPU memory: each is uploaded on first use, and samples are gathered from
// there.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include <ydistill/data/augment.h>
#include <ydistill/data/dataset.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

class DevicePictures {
 public:
  /// Allocates memory for all pictures of the set at load_size. throws OutOfMemoryError, with the
  /// sizes, if that is more than half of the device's free memory.
  DevicePictures(const Dataset& dataset, int64_t image_size, Device device);

  /// Whether picture `index` is uploaded: a plan then needs no pixels for it. Thread-safe.
  bool has(int64_t index) const;
  int64_t bytes() const { return pixels_.nbytes(); }

  /// Size in bytes of a plan packed by pack() for outputs of this size.
  static int64_t packed_bytes(const PlanRoom& room, int64_t width, int64_t height);
  static int64_t packed_bytes(const SamplePlan& plan) {
    return packed_bytes(plan.room, plan.width, plan.height);
  }
  /// Uploads the plan's missing pictures and waits for that; then writes the plan for
  /// gather_samples to `packed` on the host, [packed_bytes]. Call from one thread at a time.
  void pack(const SamplePlan& plan, uint8_t* packed);

 private:
  uint8_t* address(int64_t index) const;
  /// The picture's address, after uploading it if necessary.
  const uint8_t* uploaded(const SamplePlan::Picture& picture);

  Tensor pixels_;                 // uint8, all pictures one after the other
  std::vector<int64_t> offsets_;  // of each picture, and the end
  std::vector<std::atomic<bool>> is_there_;
};

/// Computes the pixels of packed plans on the GPU.
///   packed  uint8 [N, packed_bytes], on the device of the pictures
///   room    that of the plans
///   images  uint8 [N, H, W, 3], same device; fully written, in order on the thread's stream
/// throws ShapeError, DTypeError, DeviceError.
void gather_samples(const Tensor& packed, const PlanRoom& room, const Tensor& images);

}  // namespace ydistill
