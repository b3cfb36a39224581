// SPDX-License-Identifier: MIT
// YOLOv5's Bottleneck: 1x1, 3x3, and the input added if wanted and if the shapes allow it.
#pragma once

#include <ydistill/layers/conv_bn_silu.h>

namespace ydistill {

/// x + cv2(cv1(x)) with cv1 1x1 to `hidden` channels, cv2 3x3 to out_channels. The sum only where
/// `shortcut` and in_channels = out_channels. Inside C3 hidden = out_channels.
class Bottleneck : public Module {
 public:
  Bottleneck(ParameterStore& store, const std::string& name, int64_t in_channels,
             int64_t out_channels, int64_t hidden, bool shortcut);
  Var forward(const Var& x, ForwardMode mode) override;
  /// forward() for inference, written into some channels of a tensor.
  void infer_into(const ChannelSlice& to, const Tensor& x);
  Quantization prepare_int8(const Quantization& x, const NetworkCalibration& calibration) override;
  void for_each_conv(const std::function<void(ConvBnSilu&)>& visit) override;
  ConvBnSilu& last_conv() override { return cv2_; }

 private:
  ConvBnSilu cv1_, cv2_;
  bool add_;
};

}  // namespace ydistill
