// SPDX-License-Identifier: MIT
#include <ydistill/layers/detect_head.h>

#include <cmath>

#include <ydistill/layers/conv_bn_silu.h>
#include <ydistill/layers/reshape.h>

namespace ydistill {

DetectHead::DetectHead(ParameterStore& store, const std::string& name,
                       const std::vector<int64_t>& in_channels, int64_t anchors_per_head,
                       int64_t num_classes)
    : store_(store),
      name_(name),
      anchors_(anchors_per_head),
      num_classes_(num_classes),
      in_channels_(in_channels) {
  const int64_t out = anchors_per_head * (5 + num_classes);
  for (size_t k = 0; k < in_channels.size(); ++k) {
    const std::string prefix = name_of(k);
    weights_.push_back(
        store.add(prefix + ".weight", {out, 1, 1, in_channels[k]}, ParameterGroup::kDecay));
    biases_.push_back(store.add(prefix + ".bias", {out}, ParameterGroup::kBias));
  }
}

std::vector<Var> DetectHead::forward(const std::vector<Var>& xs) {
  if (xs.size() != weights_.size()) {
    throw ShapeError("detect: {} scales expected, got {}", weights_.size(), xs.size());
  }
  std::vector<Var> heads;
  for (size_t k = 0; k < xs.size(); ++k) {
    const Var y = int8_.empty() ? conv2d(xs[k], store_.var(weights_[k]), store_.var(biases_[k]), {},
                                         store_.packed(weights_[k]), store_.version())
                                : Var(int8_[k].logits(xs[k].value()));
    if (observer_) observer_(name_of(k), xs[k].value(), y.value());
    const Shape& s = y.shape();
    heads.push_back(reshape(y, {s[0], s[1], s[2], anchors_, 5 + num_classes_}));
  }
  return heads;
}

void DetectHead::prepare_int8(const std::vector<Quantization>& xs,
                              const NetworkCalibration& calibration) {
  int8_.clear();
  for (size_t k = 0; k < weights_.size(); ++k) {
    int8_.emplace_back(name_of(k), store_.var(weights_[k]).value(), store_.var(biases_[k]).value(),
                       Conv2dOptions{}, Int8Edges{xs.at(k), {}, {}},
                       calibration_of(calibration, name_of(k)).input_means);
  }
}

void DetectHead::round_to_bytes(const NetworkCalibration& calibration) {
  for (size_t k = 0; k < weights_.size(); ++k) {
    const std::vector<float> errors =
        ydistill::round_to_bytes(name_of(k), store_.var(weights_[k]).value(),
                                 calibration_of(calibration, name_of(k)).input_means);
    float* const bias = store_.var(biases_[k]).value().data<float>();
    for (size_t o = 0; o < errors.size(); ++o) bias[o] += errors[o];
  }
}

int64_t DetectHead::int8_bytes() const {
  int64_t sum = 0;
  for (const Int8Conv& conv : int8_) sum += conv.packed_bytes();
  return sum;
}

void DetectHead::initialise(Rng& rng, const std::vector<double>& strides) {
  for (size_t k = 0; k < weights_.size(); ++k) {
    initialise_uniform(store_.var(weights_[k]).value(), in_channels_[k], rng);
    const Tensor bias = Tensor::empty(store_.var(biases_[k]).shape(), store_.dtype());
    initialise_uniform(bias, in_channels_[k], rng);
    const double cells = 640 / strides.at(k);
    const double objectness = std::log(8 / (cells * cells));
    const double classes = std::log(0.6 / (double(num_classes_) - 0.99999));
    dispatch_float(bias.dtype(), "initialise", [&](auto type) {
      using T = decltype(type);
      T* b = bias.data<T>();
      const int64_t per_anchor = 5 + num_classes_;
      for (int64_t a = 0; a < anchors_; ++a) {
        b[a * per_anchor + 4] += T(objectness);
        for (int64_t c = 5; c < per_anchor; ++c) b[a * per_anchor + c] += T(classes);
      }
    });
    store_.var(biases_[k]).value().copy_from(bias);
  }
}

}  // namespace ydistill
