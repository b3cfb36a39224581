// SPDX-License-Identifier: MIT
// Convolution without bias, batch norm, SiLU: YOLOv5's `Conv`.
#pragma once

#include <memory>
#include <string>

#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/layers/conv2d.h>
#include <ydistill/layers/module.h>

namespace ydistill {

struct ConvBnSiluOptions {
  int64_t in_channels = 0, out_channels = 0;
  int64_t kernel = 1, stride = 1;
  int64_t padding = -1;  ///< -1: kernel / 2
};

/// Declares NAME.conv.weight [O,K,K,C] and NAME.bn.{weight,bias,running_mean,running_var} [O].
class ConvBnSilu : public Module {
 public:
  ConvBnSilu(ParameterStore& store, const std::string& name, const ConvBnSiluOptions& options);

  Var forward(const Var& x, ForwardMode mode) override { return forward(x, mode, {}); }
  /// The same plus a residual of the output's shape, in the same pass.
  Var forward(const Var& x, ForwardMode mode, const Var& residual);
  /// forward() for inference, into channels of a tensor. residual: of the output's shape or
  /// undefined.
  void infer_into(const ChannelSlice& to, const Tensor& x, const Tensor& residual = {});
  void initialise(Rng& rng) override;
  /// weight gamma / sqrt(var + eps) and beta - mean gamma / sqrt(var + eps), computed in double.
  void prepare_inference(FoldedWeights where) override;

  int64_t out_channels() const { return options_.out_channels; }

 private:
  void check_prepared() const;

  ParameterStore& store_;
  ConvBnSiluOptions options_;
  Conv2dOptions conv_;
  BatchNormOptions batch_norm_;
  int weight_, gamma_, beta_, mean_, var_;
  Tensor folded_weight_, folded_bias_;
  std::shared_ptr<PackedWeights> folded_packed_;
};

/// Fills t with numbers uniform in +-1/sqrt(fan_in).
void initialise_uniform(const Tensor& t, int64_t fan_in, Rng& rng);

}  // namespace ydistill
