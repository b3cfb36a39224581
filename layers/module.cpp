// SPDX-License-Identifier: MIT
#include <ydistill/layers/module.h>

#include <ydistill/layers/conv_bn_silu.h>

namespace ydistill {

const ConvCalibration& calibration_of(const NetworkCalibration& calibration,
                                      const std::string& conv) {
  const auto found = calibration.find(conv);
  if (found == calibration.end()) throw ValueError("int8: the calibration of {} is missing", conv);
  return found->second;
}

Quantization output_quantization(const NetworkCalibration& calibration, const std::string& conv) {
  const ConvCalibration& own = calibration_of(calibration, conv);
  if (!(own.low < own.high)) throw ValueError("int8: the calibration of {} has no range", conv);
  try {
    return quantization_of(own.low, own.high);
  } catch (const ValueError& error) {
    throw ValueError("int8: the calibration of {}: {}", conv, error.what());
  }
}

void Module::initialise(Rng& rng) {
  for_each_conv([&](ConvBnSilu& conv) { conv.initialise_own(rng); });
}

void Module::prepare_inference(FoldedWeights where) {
  for_each_conv([&](ConvBnSilu& conv) { conv.fold(where); });
}

}  // namespace ydistill
