// SPDX-License-Identifier: MIT
#include <ydistill/layers/spp.h>

#include <ydistill/layers/pyramid_pool.h>

namespace ydistill {

Spp::Spp(ParameterStore& store, const std::string& name, int64_t in_channels, int64_t out_channels,
         int64_t window)
    : cv1_(store, name + ".cv1", {.in_channels = in_channels, .out_channels = in_channels / 2}),
      cv2_(store, name + ".cv2",
           {.in_channels = in_channels / 2 * 4, .out_channels = out_channels}),
      window_(window) {}

Var Spp::forward(const Var& x, ForwardMode mode) {
  return cv2_.forward(pyramid_pool(cv1_.forward(x, mode), window_), mode);
}

void Spp::for_each_conv(const std::function<void(ConvBnSilu&)>& visit) {
  visit(cv1_);
  visit(cv2_);
}

Quantization Spp::prepare_int8(const Quantization& x, const NetworkCalibration& calibration) {
  return cv2_.prepare_int8(cv1_.prepare_int8(x, calibration), calibration);
}

}  // namespace ydistill
