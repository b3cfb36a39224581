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

Var C3::forward(const Var& x, ForwardMode mode) {
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
