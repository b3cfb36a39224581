// SPDX-License-Identifier: MIT
// What 8-bit inference has to know of a network's convolutions beside their weights.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ydistill/tensor/quantization.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

struct ConvCalibration {
  /// Between which numbers the output lies, SiLU and residual included. Outputs that are read as
  /// one tensor have one range. Unused (0, 0) for the heads, whose logits stay float32.
  double low = 0, high = 0;
  /// The mean of each input channel, from which follows by how much rounded weights are off.
  std::vector<float> input_means = {};
  bool operator==(const ConvCalibration&) const = default;
};

/// Of every convolution, by its name: "model.2.cv1", "model.24.m.0".
using NetworkCalibration = std::map<std::string, ConvCalibration>;

/// throws ValueError, with its name, for a convolution that is missing.
const ConvCalibration& calibration_of(const NetworkCalibration& calibration,
                                      const std::string& conv);

/// How the bytes are to be read that a convolution, none of the heads', gives. throws ValueError,
/// with its name, where that is missing or no range.
Quantization output_quantization(const NetworkCalibration& calibration, const std::string& conv);

/// Sees what a convolution reads, [N,H,W,C], and gives at inference, SiLU and residual included.
using ConvObserver = std::function<void(const std::string& conv, const Tensor& x, const Tensor& y)>;

}  // namespace ydistill
