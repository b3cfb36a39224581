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

void C3::initialise(Rng& rng) {
  for (ConvBnSilu* conv : {&cv1_, &cv2_, &cv3_}) conv->initialise(rng);
  for (Bottleneck& bottleneck : bottlenecks_) bottleneck.initialise(rng);
}

void C3::prepare_inference(FoldedWeights where) {
  for (ConvBnSilu* conv : {&cv1_, &cv2_, &cv3_}) conv->prepare_inference(where);
  for (Bottleneck& bottleneck : bottlenecks_) bottleneck.prepare_inference(where);
}

}  // namespace ydistill
