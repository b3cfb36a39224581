// SPDX-License-Identifier: MIT
#include <ydistill/layers/spp.h>

#include <ydistill/layers/pyramid_pool.h>

namespace ydistill {

Spp::Spp(ParameterStore& store, const std::string& name, int64_t in_channels, int64_t out_channels)
    : cv1_(store, name + ".cv1", {.in_channels = in_channels, .out_channels = in_channels / 2}),
      cv2_(store, name + ".cv2",
           {.in_channels = in_channels / 2 * 4, .out_channels = out_channels}) {}

Var Spp::forward(const Var& x, ForwardMode mode) {
  return cv2_.forward(pyramid_pool(cv1_.forward(x, mode)), mode);
}

void Spp::initialise(Rng& rng) {
  cv1_.initialise(rng);
  cv2_.initialise(rng);
}

void Spp::prepare_inference(FoldedWeights where) {
  cv1_.prepare_inference(where);
  cv2_.prepare_inference(where);
}

}  // namespace ydistill
