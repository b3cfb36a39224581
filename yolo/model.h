// SPDX-License-Identifier: MIT
// A YOLOv5 network with its parameters.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ydistill/layers/conv_bn_silu.h>
#include <ydistill/layers/detect_head.h>
#include <ydistill/layers/module.h>
#include <ydistill/layers/parameters.h>
#include <ydistill/layers/projections.h>
#include <ydistill/tensor/compute.h>
#include <ydistill/yolo/graph.h>

namespace ydistill {

/// What a model in training has beyond its graph.
struct TrainedParts {
  /// Layers that are not trained, as in layer_filter; their batch norms' running statistics are
  /// still updated, as in YOLOv5.
  std::vector<std::string> frozen = {};
  /// Channels that forward() projects its features to, finest scale first: those of a teacher
  /// (Projections). Empty: no projection.
  std::vector<int64_t> feature_channels = {};
};

/// Not thread-safe: use one model per thread.
class Model {
 public:
  /// Builds the graph; parameters are zero until initialise() or load_weights(). float64 is for
  /// gradient checks.
  explicit Model(GraphSpec spec, DType dtype = DType::kFloat32, const TrainedParts& parts = {});
  /// Parameters are on the device, in float32. throws for what the device does not support;
  /// ValueError for a frozen name without parameters; ShapeError for feature channels of another
  /// number of scales.
  Model(GraphSpec spec, const Compute& compute, const TrainedParts& parts = {});

  /// Called with every module's index and output [N,H,W,C].
  using Observer = std::function<void(int, const Tensor&)>;

  /// images: uint8 [N,H,W,3] RGB, H and W multiples of spec().max_stride(); copied to the model's
  /// device if they are elsewhere.
  /// returns raw logits of each scale, finest first, [N,H/stride,W/stride,A,5+C], on the model's
  /// device, float32 whatever the precision (float64 for a float64 model).
  /// features: unless null, receives the maps that the heads read, finest first,
  /// [N,H/stride,W/stride,C], C as in TrainedParts::feature_channels, else the maps' own.
  /// throws ShapeError, DTypeError; ValueError for inference without prepare_inference().
  std::vector<Var> forward(const Tensor& images, ForwardMode mode, const Observer& observe = {},
                           std::vector<Var>* features = nullptr);

  /// Sets initial parameters, which depend only on the seed and the graph.
  void initialise(uint64_t seed);
  /// Folds parameters and running statistics for inference; call again after they change. Folding
  /// in place is final: the model is then for inference only, and forward() in training, another
  /// prepare_inference() and export_weights() throw ValueError.
  void prepare_inference(FoldedWeights where = FoldedWeights::kBeside);
  /// Call after prepare_inference(), for int8: forward() then computes with bytes (on the CPU;
  /// logits stay float32) and can no longer train. Weights that were folded in place are freed.
  /// calibration: of every convolution. If it throws, the model is unchanged. throws ValueError,
  /// DeviceError, ShapeError, NotFiniteError.
  void prepare_int8(const NetworkCalibration& calibration);
  /// Rounds every convolution's weights as prepare_int8() would, and corrects its bias (the batch
  /// norm's) for the rounding: save_checkpoint() can then store them as bytes without further loss.
  /// CPU, float32; call prepare_inference() again afterwards. throws DeviceError, and ValueError
  /// for a convolution without calibration, before anything changes; ShapeError, NotFiniteError,
  /// after which the weights are unusable.
  void round_to_bytes(const NetworkCalibration& calibration);
  /// Bytes of the int8 weights; 0 before prepare_int8().
  int64_t int8_bytes();
  /// The convolutions without the heads', grouped: outputs of a group are read as one tensor.
  std::vector<std::vector<std::string>> groups_by_reader();
  /// The heads' convolutions: "model.24.m.0", ...
  std::vector<std::string> head_convs() const;
  /// Sets an observer of every convolution in inference, and of the heads' also in training. An
  /// empty one removes it.
  void observe_convs(const ConvObserver& observer);
  /// throws ValueError if the parameters were folded in place. what: the purpose, for the message.
  void check_has_parameters(const char* what) const;

  /// What forward() keeps for the backward pass in training.
  void set_tape_keeps(TapeKeeps keeps) { tape_keeps_ = keeps; }
  TapeKeeps tape_keeps() const { return tape_keeps_; }

  const GraphSpec& spec() const { return spec_; }
  Device device() const { return store_->device(); }
  /// Of activations and their gradients; uint8 after prepare_int8().
  DType activations() const { return activations_; }
  ParameterStore& parameters() { return *store_; }
  const ParameterStore& parameters() const { return *store_; }
  /// True if the first module is a 6x6 stride-2 stem, stored as the 3x3 one on Focus input.
  bool has_stem_6x6() const { return stem_6x6_; }
  /// Floating-point operations (2 per multiply-add) of the convolutions for one picture, in 1e9.
  double gflops(int64_t height, int64_t width) const;
  /// The geometry of every convolution, in order, for a batch of this size.
  std::vector<Conv2dGeometry> convolutions(int64_t batch, int64_t height, int64_t width) const;

 private:
  Tensor network_input(const Tensor& images) const;
  void for_each_conv(const std::function<void(ConvBnSilu&)>& visit);
  void prepare_int8_layers(const NetworkCalibration& calibration);
  void check_is_not_int8(const char* what) const;

  Model(GraphSpec spec, std::unique_ptr<ParameterStore> store, DType activations,
        const TrainedParts& parts);

  GraphSpec spec_;
  std::unique_ptr<ParameterStore> store_;
  DType activations_;
  std::vector<std::unique_ptr<Module>> modules_;  // null for upsample, concat, detect
  std::unique_ptr<DetectHead> detect_;
  std::unique_ptr<Projections> projections_;  // null: features are not projected
  std::vector<int> last_use_;
  bool stem_6x6_ = false;
  bool focus_ = false;
  bool folded_in_place_ = false;
  TapeKeeps tape_keeps_ = TapeKeeps::kAll;
};

}  // namespace ydistill
