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

/// What a model that is trained has beyond its graph.
struct TrainedParts {
  /// Layers that are never trained, as layer_filter takes them; their batch norms' running
  /// statistics go on, as in YOLOv5.
  std::vector<std::string> frozen = {};
  /// Channels to which forward() brings its features, finest scale first: a teacher's
  /// (Projections). Where this is empty, features stay as they are.
  std::vector<int64_t> feature_channels = {};
};

/// Not thread-safe: one model a thread.
class Model {
 public:
  /// Builds the graph; parameters are zero until initialise() or load. float64 is for gradient
  /// checks.
  explicit Model(GraphSpec spec, DType dtype = DType::kFloat32, const TrainedParts& parts = {});
  /// Parameters live on the device, in float32. throws what the device refuses; ValueError for a
  /// frozen name that no parameter has; ShapeError for feature channels of more or fewer scales.
  Model(GraphSpec spec, const Compute& compute, const TrainedParts& parts = {});

  /// Sees every module's output: index, [N,H,W,C].
  using Observer = std::function<void(int, const Tensor&)>;

  /// images: uint8 [N,H,W,3] RGB, H and W multiples of spec().max_stride(); taken to the model's
  /// device if they are elsewhere.
  /// returns raw logits of each scale, finest first, [N,H/stride,W/stride,A,5+C], on the model's
  /// device, float32 whatever the precision (float64 for a float64 model).
  /// features: unless null receives the maps that the head reads, finest first,
  /// [N,H/stride,W/stride,C] with the channels of TrainedParts::feature_channels or its own.
  /// throws ShapeError, DTypeError; ValueError for inference without prepare_inference().
  std::vector<Var> forward(const Tensor& images, ForwardMode mode, const Observer& observe = {},
                           std::vector<Var>* features = nullptr);

  /// Fresh parameters, a function of the seed alone.
  void initialise(uint64_t seed);
  /// Folds parameters and running statistics for inference; call again after they change. In place
  /// once and for all: the model then only infers, and forward() in training, another
  /// prepare_inference() and export_weights() throw ValueError.
  void prepare_inference(FoldedWeights where = FoldedWeights::kBeside);
  /// The rest of inference's preparation for 8 bits: forward() then computes with bytes (on the
  /// CPU; logits stay float32) and no longer trains. Weights that were folded in place are freed.
  /// calibration: of every convolution. Where it throws, the model is as before. throws ValueError,
  /// DeviceError, ShapeError, NotFiniteError.
  void prepare_int8(const NetworkCalibration& calibration);
  /// Rounds every convolution's weights to what prepare_int8() would make of them, and corrects its
  /// bias (the batch norm's) by what that takes: save_checkpoint() can then keep them as bytes, and
  /// nothing more is lost. On the CPU, float32; prepare_inference() has to come again. throws
  /// DeviceError, and ValueError for a convolution that was not calibrated, before anything
  /// changes; ShapeError, NotFiniteError, after which the weights are of no use.
  void round_to_bytes(const NetworkCalibration& calibration);
  /// What the weights in 8 bits take; 0 before prepare_int8().
  int64_t int8_bytes();
  /// The convolutions but the heads', those in one group whose outputs are read as one tensor.
  std::vector<std::vector<std::string>> groups_by_reader();
  /// The heads' convolutions: "model.24.m.0", ...
  std::vector<std::string> head_convs() const;
  /// Sees every convolution at inference, and those of the heads in training too, until another or
  /// an empty one comes.
  void observe_convs(const ConvObserver& observer);
  /// throws ValueError, saying for what, where the parameters were folded in place.
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
  /// True where the first module is a 6x6 stride-2 stem, kept as the 3x3 one on Focus input.
  bool has_stem_6x6() const { return stem_6x6_; }
  /// Multiply-adds times two of the convolutions for one picture, in 1e9.
  double gflops(int64_t height, int64_t width) const;
  /// The geometry of every convolution, in order, for a batch of pictures.
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
  std::unique_ptr<Projections> projections_;  // null where features stay as they are
  std::vector<int> last_use_;
  bool stem_6x6_ = false;
  bool focus_ = false;
  bool folded_in_place_ = false;
  TapeKeeps tape_keeps_ = TapeKeeps::kAll;
};

}  // namespace ydistill
