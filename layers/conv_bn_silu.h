// SPDX-License-Identifier: MIT
// Convolution without bias, batch norm, SiLU: YOLOv5's `Conv`.
#pragma once

#include <memory>
#include <string>

#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/layers/conv2d.h>
#include <ydistill/layers/module.h>
#include <ydistill/tensor/conv_int8.h>

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
  /// forward() for inference, written into channels of a tensor. residual: of the output's shape or
  /// undefined.
  void infer_into(const ChannelSlice& to, const Tensor& x, const Tensor& residual = {});
  Quantization prepare_int8(const Quantization& x, const NetworkCalibration& calibration) override {
    return prepare_int8(x, calibration, {});
  }
  /// The same with a residual, whose bytes are read as `residual` says.
  Quantization prepare_int8(const Quantization& x, const NetworkCalibration& calibration,
                            const Quantization& residual);
  void for_each_conv(const std::function<void(ConvBnSilu&)>& visit) override { visit(*this); }
  ConvBnSilu& last_conv() override { return *this; }
  /// What initialise() and prepare_inference() of a module call for each of its convolutions.
  void initialise_own(Rng& rng);
  void fold(FoldedWeights where);
  /// Rounds the weights as 8 bits would, and corrects the bias for the mean error of that.
  void round_to_bytes(const NetworkCalibration& calibration);
  /// Undoes prepare_int8().
  void forget_int8();
  /// Frees the folded weights after prepare_int8().
  void keep_int8_alone();
  /// Bytes of the packed 8-bit weights; 0 unless prepared.
  int64_t int8_bytes() const { return int8_ ? int8_->packed_bytes() : 0; }

  /// Observes forward() and infer_into() at inference; an empty observer ends it.
  void observe(ConvObserver observer) { observer_ = std::move(observer); }

  const std::string& name() const { return name_; }
  int64_t out_channels() const { return options_.out_channels; }

 private:
  void check_prepared() const;
  Tensor infer(const Tensor& x, const Tensor& residual);

  ParameterStore& store_;
  std::string name_;
  ConvBnSiluOptions options_;
  Conv2dOptions conv_;
  BatchNormOptions batch_norm_;
  int weight_, gamma_, beta_, mean_, var_;
  Tensor folded_weight_, folded_bias_;
  std::shared_ptr<PackedWeights> folded_packed_;
  std::unique_ptr<Int8Conv> int8_;  // null unless prepared
  ConvObserver observer_;
};

/// Fills t with numbers uniform in +-1/sqrt(fan_in).
void initialise_uniform(const Tensor& t, int64_t fan_in, Rng& rng);

}  // namespace ydistill
