// SPDX-License-Identifier: MIT
#include <ydistill/layers/c3.h>

#include <ydistill/layers/concat.h>

namespace ydistill {

C3::C3(ParameterStore& store, const std::string& name, const C3Options& o)
    : cv1_(store, name + ".cv1",
           {.in_channels = o.in_channels, .out_channels = o.out_channels / 2}),
      cv2_(store, name + ".cv2",
           {.in_channels = o.in_channels, .out_channels = o.out_channels / 2}),
      cv3_(store, name + ".cv3",
           {.in_channels = o.out_channels / 2 * 2, .out_channels = o.out_channels}) {
  const int64_t hidden = o.out_channels / 2;
  bottlenecks_.reserve(size_t(o.num_bottlenecks));
  for (int64_t i = 0; i < o.num_bottlenecks; ++i) {
    bottlenecks_.emplace_back(store, name + ".m." + std::to_string(i), hidden, hidden, hidden,
                              o.shortcut);
  }
}

Tensor C3::infer(const Tensor& x) {
  constexpr ForwardMode kMode = ForwardMode::kInference;
  const int64_t hidden = cv2_.out_channels();
  const Shape& s = x.shape();
  Tensor inner = cv1_.forward(Var(x), kMode).value();
  for (size_t i = 0; i + 1 < bottlenecks_.size(); ++i) {
    inner = bottlenecks_[i].forward(Var(inner), kMode).value();
  }
  const Tensor both = Tensor::empty({s[0], s[1], s[2], 2 * hidden}, x.dtype(), x.device());
  bottlenecks_.back().infer_into({both, 0}, inner);
  inner = {};
  cv2_.infer_into({both, hidden}, x);
  return cv3_.forward(Var(both), kMode).value();
}

Var C3::forward(const Var& x, ForwardMode mode) {
  if (mode == ForwardMode::kInference && !bottlenecks_.empty()) return Var(infer(x.value()));
  Var inner = cv1_.forward(x, mode);
  for (Bottleneck& bottleneck : bottlenecks_) inner = bottleneck.forward(inner, mode);
  return cv3_.forward(concat({inner, cv2_.forward(x, mode)}), mode);
}

void C3::for_each_conv(const std::function<void(ConvBnSilu&)>& visit) {
  for (ConvBnSilu* conv : {&cv1_, &cv2_, &cv3_}) visit(*conv);
  for (Bottleneck& bottleneck : bottlenecks_) bottleneck.for_each_conv(visit);
}

ConvBnSilu& C3::last_of_chain() {
  return bottlenecks_.empty() ? cv1_ : bottlenecks_.back().last_conv();
}

void C3::for_each_tie(const std::function<void(ConvBnSilu&, ConvBnSilu&)>& visit) {
  visit(last_of_chain(), cv2_);
}

Quantization C3::prepare_int8(const Quantization& x, const NetworkCalibration& calibration) {
  Quantization inner = cv1_.prepare_int8(x, calibration);
  for (Bottleneck& bottleneck : bottlenecks_) inner = bottleneck.prepare_int8(inner, calibration);
  if (cv2_.prepare_int8(x, calibration) != inner) {
    throw ValueError("int8: {} and {} are read as one tensor and have two ranges",
                     last_of_chain().name(), cv2_.name());
  }
  return cv3_.prepare_int8(inner, calibration);
}

}  // namespace ydistill
