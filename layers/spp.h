// SPDX-License-Identifier: MIT
// YOLOv5's SPP (v5.0, windows 5, 9, 13) and SPPF (v6+, window 5 three times): the same sums.
#pragma once

#include <ydistill/layers/conv_bn_silu.h>

namespace ydistill {

/// cv2(pyramid_pool(cv1(x))) with in_channels / 2 channels inside.
class Spp : public Module {
 public:
  Spp(ParameterStore& store, const std::string& name, int64_t in_channels, int64_t out_channels);
  Var forward(const Var& x, ForwardMode mode) override;
  void initialise(Rng& rng) override;
  void prepare_inference(FoldedWeights where) override;

 private:
  ConvBnSilu cv1_, cv2_;
};

}  // namespace ydistill
