// SPDX-License-Identifier: MIT
// YOLOv5's C3: a cross-stage partial block with three convolutions and n bottlenecks.
#pragma once

#include <vector>

#include <ydistill/layers/bottleneck.h>

namespace ydistill {

struct C3Options {
  int64_t in_channels = 0, out_channels = 0;
  int64_t num_bottlenecks = 1;
  bool shortcut = true;
};

/// cv3([m(cv1(x)), cv2(x)]) with out_channels / 2 channels inside; m is the chain of bottlenecks.
class C3 : public Module {
 public:
  C3(ParameterStore& store, const std::string& name, const C3Options& options);
  Var forward(const Var& x, ForwardMode mode) override;
  Quantization prepare_int8(const Quantization& x, const NetworkCalibration& calibration) override;
  void for_each_conv(const std::function<void(ConvBnSilu&)>& visit) override;
  ConvBnSilu& last_conv() override { return cv3_; }
  void for_each_tie(const std::function<void(ConvBnSilu&, ConvBnSilu&)>& visit) override;

 private:
  /// Each branch writes directly into its channels of cv3's input; there is no concatenation.
  Tensor infer(const Tensor& x);
  /// The convolution whose output is concatenated with cv2's.
  ConvBnSilu& last_of_chain();

  ConvBnSilu cv1_, cv2_, cv3_;
  std::vector<Bottleneck> bottlenecks_;
};

}  // namespace ydistill
