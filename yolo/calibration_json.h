// SPDX-License-Identifier: MIT
// A network's calibration as text, as checkpoints store it.
#pragma once

#include <string>

#include <ydistill/layers/conv_calibration.h>

namespace ydistill {

/// {"model.0": {"range": [low, high], "input_means": [...]}, ...}; heads have no range.
std::string calibration_to_json(const NetworkCalibration& calibration);
/// throws ValueError naming the convolution and the fault.
NetworkCalibration calibration_from_json(const std::string& text);

}  // namespace ydistill
