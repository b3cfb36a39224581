// SPDX-License-Identifier: MIT
// What 8-bit inference needs to know of a network's convolutions besides their weights.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ydistill/tensor/quantization.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

struct ConvCalibration {
  /// Range of the output, SiLU and residual included. Outputs that are read as one tensor share a
  /// range. Unused (0, 0) for the heads, whose logits stay float32.
  double low = 0, high = 0;
  /// The mean of each input channel; it gives the mean error caused by rounded weights.
  std::vector<float> input_means = {};
  bool operator==(const ConvCalibration&) const = default;
};

/// For every convolution, by its name: "model.2.cv1", "model.24.m.0".
using NetworkCalibration = std::map<std::string, ConvCalibration>;

/// throws ValueError, with its name, for a convolution that is missing.
const ConvCalibration& calibration_of(const NetworkCalibration& calibration,
                                      const std::string& conv);

/// How the output bytes of a convolution (not of a head) are to be read. throws ValueError, with
/// its name, if its calibration is missing or has no valid range.
Quantization output_quantization(const NetworkCalibration& calibration, const std::string& conv);

/// Receives what a convolution reads, [N,H,W,C], and its output at inference, SiLU and residual
/// included.
using ConvObserver = std::function<void(const std::string& conv, const Tensor& x, const Tensor& y)>;

}  // namespace ydistill
