// SPDX-License-Identifier: MIT
// The last layer of YOLOv5: a 1x1 convolution with bias on each scale.
#pragma once

#include <string>
#include <vector>

#include <ydistill/layers/conv2d.h>
#include <ydistill/layers/module.h>
#include <ydistill/tensor/conv_int8.h>

namespace ydistill {

/// Declares NAME.m.K.weight [A (5+C),1,1,C_K] and NAME.m.K.bias [A (5+C)] for each scale K.
class DetectHead {
 public:
  /// in_channels: of each scale, finest first.
  DetectHead(ParameterStore& store, const std::string& name,
             const std::vector<int64_t>& in_channels, int64_t anchors_per_head,
             int64_t num_classes);

  /// xs[k] [N,H_k,W_k,C_k] -> raw logits [N,H_k,W_k,A,5+C]: tx ty tw th objectness classes.
  std::vector<Var> forward(const std::vector<Var>& xs);
  /// From now on forward() takes bytes, those of scale k read as xs[k] says. throws ShapeError,
  /// ValueError.
  void prepare_int8(const std::vector<Quantization>& xs, const NetworkCalibration& calibration);
  /// Rounds the weights as 8 bits would, and corrects the biases for the mean error of that.
  void round_to_bytes(const NetworkCalibration& calibration);
  /// Bytes of the packed 8-bit weights; 0 unless prepared.
  int64_t int8_bytes() const;
  void forget_int8() { int8_.clear(); }
  /// "model.24.m.0": the name of scale k's convolution.
  std::string name_of(size_t k) const { return name_ + ".m." + std::to_string(k); }
  size_t num_scales() const { return weights_.size(); }
  /// Observes forward() in every mode; an empty observer ends it.
  void observe(ConvObserver observer) { observer_ = std::move(observer); }
  /// PyTorch's default weights and biases, to which YOLOv5's prior is added:
  ///   objectness += ln(8 / (640 / stride)^2)     class += ln(0.6 / (num_classes - 0.99999))
  void initialise(Rng& rng, const std::vector<double>& strides);

 private:
  ParameterStore& store_;
  std::string name_;
  int64_t anchors_, num_classes_;
  std::vector<int64_t> in_channels_;
  std::vector<int> weights_, biases_;
  std::vector<Int8Conv> int8_;  // empty unless prepared
  ConvObserver observer_;
};

}  // namespace ydistill
