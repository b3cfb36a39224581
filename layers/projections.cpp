// SPDX-License-Identifier: MIT
#include <ydistill/layers/projections.h>

#include <ydistill/layers/conv_bn_silu.h>

namespace ydistill {

Projections::Projections(ParameterStore& store, const std::string& name,
                         const std::vector<int64_t>& in_channels,
                         const std::vector<int64_t>& out_channels)
    : store_(store) {
  if (in_channels.size() != out_channels.size()) {
    throw ShapeError("projections: {} maps, channels wanted of {}", in_channels.size(),
                     out_channels.size());
  }
  for (size_t k = 0; k < in_channels.size(); ++k) {
    const int64_t in = in_channels[k], out = out_channels[k];
    weights_.push_back(in == out ? kNone
                                 : store.add_auxiliary(name + "." + std::to_string(k) + ".weight",
                                                       {out, 1, 1, in}, ParameterGroup::kDecay));
  }
}

std::vector<Var> Projections::forward(const std::vector<Var>& xs) const {
  if (xs.size() != weights_.size()) {
    throw ShapeError("projections: {} maps expected, got {}", weights_.size(), xs.size());
  }
  std::vector<Var> maps;
  for (size_t k = 0; k < xs.size(); ++k) {
    const int weight = weights_[k];
    maps.push_back(weight == kNone ? xs[k]
                                   : conv2d(xs[k], store_.var(weight), Var(), {},
                                            store_.packed(weight), store_.version()));
  }
  return maps;
}

void Projections::initialise(Rng& rng) {
  for (const int weight : weights_) {
    if (weight == kNone) continue;
    const Tensor& value = store_.var(weight).value();
    initialise_uniform(value, value.size(3), rng);
  }
}

}  // namespace ydistill
