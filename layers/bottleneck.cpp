// SPDX-License-Identifier: MIT
#include <ydistill/layers/bottleneck.h>

namespace ydistill {

Bottleneck::Bottleneck(ParameterStore& store, const std::string& name, int64_t in_channels,
                       int64_t out_channels, int64_t hidden, bool shortcut)
    : cv1_(store, name + ".cv1", {.in_channels = in_channels, .out_channels = hidden}),
      cv2_(store, name + ".cv2",
           {.in_channels = hidden, .out_channels = out_channels, .kernel = 3}),
      add_(shortcut && in_channels == out_channels) {}

Var Bottleneck::forward(const Var& x, ForwardMode mode) {
  return cv2_.forward(cv1_.forward(x, mode), mode, add_ ? x : Var());
}

void Bottleneck::infer_into(const ChannelSlice& to, const Tensor& x) {
  const Var inner = cv1_.forward(Var(x), ForwardMode::kInference);
  cv2_.infer_into(to, inner.value(), add_ ? x : Tensor());
}

void Bottleneck::for_each_conv(const std::function<void(ConvBnSilu&)>& visit) {
  visit(cv1_);
  visit(cv2_);
}

Quantization Bottleneck::prepare_int8(const Quantization& x,
                                      const NetworkCalibration& calibration) {
  return cv2_.prepare_int8(cv1_.prepare_int8(x, calibration), calibration, x);
}

}  // namespace ydistill
