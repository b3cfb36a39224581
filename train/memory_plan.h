// SPDX-License-Identifier: MIT
// The memory of a run on the CPU, predicted before it starts.
//
// The allocations of a run are known: parameters and optimizer from their sizes, activations and
// packed weights from a dry run of the step (step_runner.h), batches and pictures from the loaders'
// rules. What the program and its libraries take in addition is a measured number.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ydistill/train/config.h>
#include <ydistill/train/say.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

struct MemoryPlan {
  struct Part {
    std::string name;
    int64_t bytes = 0;
    std::string holds;
  };
  std::vector<Part> parts;
  int64_t step_bytes = 0;        ///< of a training: limited by train.memory_mib
  int64_t validation_bytes = 0;  ///< of a training, between epochs: limited by it too
  /// For inference: the addition per further picture shape, the code for its convolutions.
  int64_t further_shape_bytes = 0;

  /// The peak resident memory.
  int64_t total_bytes() const;
};

/// For the training that a config describes, including validation and checkpoints. Opens the files
/// that it names, as training does, and reports them to `say`. throws ConfigError, FileError;
/// DeviceError for a config that runs on a GPU.
class TrainingMemory {
 public:
  TrainingMemory(const Config& config, const Say& say);
  ~TrainingMemory();
  TrainingMemory(const TrainingMemory&) = delete;
  TrainingMemory& operator=(const TrainingMemory&) = delete;

  MemoryPlan plan() const { return plan(batch()); }
  MemoryPlan plan(int64_t batch) const;
  int64_t batch() const;
  /// Side of its pictures, the largest that train.multi_scale draws.
  int64_t side() const;
  /// The largest batch with which the whole run stays within this limit; 0: none.
  int64_t largest_batch(int64_t total_bytes) const;
  /// The largest batch whose step stays within this limit, as in train.memory_mib; 0: none.
  int64_t largest_batch_by_step(int64_t step_bytes) const;
  /// The largest val.batch whose validation stays within this limit, in the same way; 0: none.
  int64_t largest_validation_batch(int64_t validation_bytes) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// For inference with batches [N,H,W,3] of pictures.
MemoryPlan inference_memory(const Checkpoint& checkpoint, const Shape& images,
                            const Compute& compute);

}  // namespace ydistill
