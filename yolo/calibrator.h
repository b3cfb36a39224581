// SPDX-License-Identifier: MIT
// What 8-bit inference has to know, from pictures: between which numbers each activation lies,
// and its means (post-training quantization, Jacob et al., arXiv 1712.05877).
#pragma once

#include <memory>

#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// Watches a model at work. The range of a group of outputs that are read as one tensor reaches
/// from its least number to that upper end at which 256 numbers are off least, by their mean
/// square: rare large ones are cut off where finer steps for all others are worth more.
class Calibrator {
 public:
  /// model: prepared for inference, in float32 on the CPU, with no other observer; outlives this.
  /// throws ValueError.
  explicit Calibrator(Model& model);
  ~Calibrator();
  Calibrator(const Calibrator&) = delete;
  Calibrator& operator=(const Calibrator&) = delete;

  /// images: uint8 [N,H,W,3], as forward() takes them. throws what that throws; NotFiniteError
  /// naming the convolution that gives NaN or infinity.
  void add(const Tensor& images);
  /// throws ValueError where no picture was added.
  NetworkCalibration result() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Whether a network can run in 8 bits at all, before any picture is looked at. throws ShapeError
/// or NotFiniteError naming the convolution that cannot.
void check_runs_in_int8(const Checkpoint& checkpoint);

}  // namespace ydistill
