// SPDX-License-Identifier: MIT
// The training pictures in a GPU's memory: each is uploaded when it is first seen, and samples are
// gathered from there.
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
  /// Takes memory for all pictures of the set at load size, at most half of what the device has
  /// free. throws OutOfMemoryError naming what is needed and what there is.
  DevicePictures(const Dataset& dataset, int64_t image_size, Device device);

  /// Whether picture `index` is there: then a plan needs no pixels for it. From any thread.
  bool has(int64_t index) const;
  int64_t bytes() const { return pixels_.nbytes(); }

  /// Bytes of a plan for outputs of this size as pack() writes it.
  static int64_t packed_bytes(const PlanRoom& room, int64_t width, int64_t height);
  static int64_t packed_bytes(const SamplePlan& plan) {
    return packed_bytes(plan.room, plan.width, plan.height);
  }
  /// Uploads the plan's pictures that are not there yet, waiting for that; then writes the plan for
  /// gather_samples to `packed` on the host, [packed_bytes]. From one thread at a time.
  void pack(const SamplePlan& plan, uint8_t* packed);

 private:
  uint8_t* address(int64_t index) const;
  /// Where the picture is, after uploading it if need be.
  const uint8_t* uploaded(const SamplePlan::Picture& picture);

  Tensor pixels_;                 // uint8, all pictures one after the other
  std::vector<int64_t> offsets_;  // of each, and the end
  std::vector<std::atomic<bool>> is_there_;
};

/// Makes the pixels of packed plans.
///   packed  uint8 [N, packed_bytes], on the device of the pictures
///   room    that of the plans
///   images  uint8 [N, H, W, 3], there too; written whole, in the order of the thread's stream
/// throws ShapeError, DTypeError, DeviceError.
void gather_samples(const Tensor& packed, const PlanRoom& room, const Tensor& images);

}  // namespace ydistill
