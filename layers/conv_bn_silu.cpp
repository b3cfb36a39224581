// SPDX-License-Identifier: MIT
#include <ydistill/layers/conv_bn_silu.h>

#include <cmath>

#include <ydistill/tensor/parallel.h>

namespace ydistill {

void initialise_uniform(const Tensor& t, int64_t fan_in, Rng& rng) {
  const double bound = 1 / std::sqrt(double(fan_in));
  t.copy_from(rng.uniform(t.shape(), -bound, bound, t.dtype()));
}

ConvBnSilu::ConvBnSilu(ParameterStore& store, const std::string& name,
                       const ConvBnSiluOptions& options)
    : store_(store), name_(name), options_(options) {
  const int64_t k = options.kernel, out = options.out_channels;
  conv_ = {options.stride, options.padding >= 0 ? options.padding : k / 2};
  weight_ =
      store.add(name + ".conv.weight", {out, k, k, options.in_channels}, ParameterGroup::kDecay);
  gamma_ = store.add(name + ".bn.weight", {out}, ParameterGroup::kNoDecay);
  beta_ = store.add(name + ".bn.bias", {out}, ParameterGroup::kBias);
  mean_ = store.add_statistic(name + ".bn.running_mean", {out}, 0);
  var_ = store.add_statistic(name + ".bn.running_var", {out}, 1);
}

Var ConvBnSilu::forward(const Var& x, ForwardMode mode, const Var& residual) {
  if (mode == ForwardMode::kTrain) {
    const Var y =
        conv2d(x, store_.var(weight_), {}, conv_, store_.packed(weight_), store_.version());
    return batch_norm_silu(y, store_.var(gamma_), store_.var(beta_), store_.statistic(mean_),
                           store_.statistic(var_), batch_norm_, residual);
  }
  check_prepared();
  const Tensor y = infer(x.value(), residual.defined() ? residual.value() : Tensor());
  if (observer_) observer_(name_, x.value(), y);
  return Var(y);
}

Tensor ConvBnSilu::infer(const Tensor& x, const Tensor& residual) {
  if (int8_) return int8_->bias_silu(x, residual);
  return conv2d_bias_silu(x, folded_weight_, folded_bias_, residual, conv_, folded_packed_.get(),
                          /*version=*/1);
}

void ConvBnSilu::infer_into(const ChannelSlice& to, const Tensor& x, const Tensor& residual) {
  check_prepared();
  if (observer_) observer_(name_, x, infer(x, residual));
  if (int8_) return int8_->bias_silu(to, x, residual);
  conv2d_bias_silu(x, folded_weight_, folded_bias_, residual, conv_, folded_packed_.get(),
                   /*version=*/1, to);
}

void ConvBnSilu::check_prepared() const {
  if (folded_weight_.defined() || int8_) return;
  throw ValueError("{}: prepare_inference() must come before inference", store_.name(weight_));
}

Quantization ConvBnSilu::prepare_int8(const Quantization& x, const NetworkCalibration& calibration,
                                      const Quantization& residual) {
  check_prepared();
  const Quantization y = output_quantization(calibration, name_);
  int8_ = std::make_unique<Int8Conv>(name_, folded_weight_, folded_bias_, conv_,
                                     Int8Edges{x, y, residual},
                                     calibration_of(calibration, name_).input_means);
  return y;
}

// Rounding is per output channel, so rounding these weights or the folded ones (which differ by a
// factor per channel) is the same.
void ConvBnSilu::round_to_bytes(const NetworkCalibration& calibration) {
  const std::vector<float> errors = ydistill::round_to_bytes(
      name_, store_.var(weight_).value(), calibration_of(calibration, name_).input_means);
  float* const beta = store_.var(beta_).value().data<float>();
  for (int64_t o = 0; o < options_.out_channels; ++o) {
    const double scale = store_.var(gamma_).value().at(o) /
                         std::sqrt(store_.statistic(var_).at(o) + batch_norm_.eps);
    beta[o] += float(scale * double(errors[size_t(o)]));
  }
}

void ConvBnSilu::forget_int8() {
  int8_.reset();
}

void ConvBnSilu::keep_int8_alone() {
  folded_weight_ = folded_bias_ = {};
  folded_packed_.reset();
}

void ConvBnSilu::initialise_own(Rng& rng) {
  const Tensor& weight = store_.var(weight_).value();
  initialise_uniform(weight, options_.in_channels * options_.kernel * options_.kernel, rng);
  store_.var(gamma_).value().fill(1);
  store_.var(beta_).value().fill(0);
  store_.statistic(mean_).fill(0);
  store_.statistic(var_).fill(1);
}

void ConvBnSilu::fold(FoldedWeights where) {
  const ArenaScope heap(nullptr);  // outlives any step
  const auto on_cpu = [](const Tensor& t) { return t.to(Device::cpu()); };
  const Tensor weight = on_cpu(store_.var(weight_).value());
  const Tensor gamma = on_cpu(store_.var(gamma_).value()), beta = on_cpu(store_.var(beta_).value());
  const Tensor mean = on_cpu(store_.statistic(mean_)), var = on_cpu(store_.statistic(var_));
  const Tensor& parameter = store_.var(weight_).value();
  const bool in_place = where == FoldedWeights::kInPlace;
  const Tensor folded_weight = in_place ? weight : Tensor::empty(weight.shape(), weight.dtype());
  const Tensor folded_bias = Tensor::empty({options_.out_channels}, weight.dtype());
  dispatch_float(weight.dtype(), "prepare_inference", [&](auto type) {
    using T = decltype(type);
    const int64_t per_channel = weight.numel() / options_.out_channels;
    parallel_for(options_.out_channels, 1, [&](int64_t o) {
      const double scale = gamma.at(o) / std::sqrt(var.at(o) + batch_norm_.eps);
      folded_bias.data<T>()[o] = T(beta.at(o) - mean.at(o) * scale);
      const T* from = weight.data<T>() + o * per_channel;
      T* to = folded_weight.data<T>() + o * per_channel;
      for (int64_t i = 0; i < per_channel; ++i) to[i] = T(double(from[i]) * scale);
    });
  });
  if (in_place && !store_.device().is_cpu()) parameter.copy_from(folded_weight);
  folded_weight_ = in_place ? parameter : folded_weight.to(store_.device());
  folded_bias_ = folded_bias.to(store_.device());
  folded_packed_ = std::make_shared<PackedWeights>();
}

}  // namespace ydistill
