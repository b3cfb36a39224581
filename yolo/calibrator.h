// SPDX-License-Identifier: MIT
// Calibration of int8 inference from pictures: the range of each activation, and its channel means
// (post-training quantization, Jacob et al., arXiv 1712.05877).
#pragma once

#include <memory>

#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// Observes a model while it runs. Outputs that are read as one tensor share a range: from their
/// minimum to the upper end that minimises the mean square error of rounding to 256 numbers. Rare
/// large values are clipped where finer steps for all others reduce the error more.
class Calibrator {
 public:
  /// model: prepared for inference, in float32 on the CPU, without another observer; must outlive
  /// this.
  /// throws ValueError.
  explicit Calibrator(Model& model);
  ~Calibrator();
  Calibrator(const Calibrator&) = delete;
  Calibrator& operator=(const Calibrator&) = delete;

  /// images: uint8 [N,H,W,3], as for forward(). throws as forward(); NotFiniteError naming the
  /// convolution that gives NaN or infinity.
  void add(const Tensor& images);
  /// throws ValueError if no picture was added.
  NetworkCalibration result() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Checks that a network can run in int8, without pictures. throws ShapeError or NotFiniteError
/// naming the convolution that cannot.
void check_runs_in_int8(const Checkpoint& checkpoint);

}  // namespace ydistill
