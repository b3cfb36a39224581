// SPDX-License-Identifier: MIT
// YOLOv5's SPP (v5.0, windows 5, 9, 13) and SPPF (v6+, window 5 three times): the same result. The
// v5.0 networks with four heads have windows 3, 5, 7.
#pragma once

#include <ydistill/layers/conv_bn_silu.h>

namespace ydistill {

/// cv2(pyramid_pool(cv1(x), window)) with in_channels / 2 channels inside.
class Spp : public Module {
 public:
  Spp(ParameterStore& store, const std::string& name, int64_t in_channels, int64_t out_channels,
      int64_t window = 5);
  Var forward(const Var& x, ForwardMode mode) override;
  Quantization prepare_int8(const Quantization& x, const NetworkCalibration& calibration) override;
  void for_each_conv(const std::function<void(ConvBnSilu&)>& visit) override;
  ConvBnSilu& last_conv() override { return cv2_; }

 private:
  ConvBnSilu cv1_, cv2_;
  int64_t window_;
};

}  // namespace ydistill
