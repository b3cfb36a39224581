// SPDX-License-Identifier: MIT
// Weights on disk and in a model.
//
// Names and layouts on disk are those of the original YOLOv5 (convolution weights OIHW), so that
// other readers of safetensors can use the files directly. In memory weights are OHWI, and the 6x6
// stem is stored as the 3x3 one on Focus input (layers/focus.h).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ydistill/tensor/io/pt.h>
#include <ydistill/yolo/model.h>

namespace ydistill {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// The content of a network's file: everything needed to rebuild and run it.
struct Checkpoint {
  GraphSpec spec;
  std::vector<std::string> class_names;         ///< spec.num_classes of them
  NamedTensors tensors;                         ///< original names, OIHW, float32
  std::map<std::string, std::string> metadata;  ///< of a safetensors file; empty for .pt
  std::string source;                           ///< "model", "ema", "state_dict" or "safetensors"
  NetworkCalibration calibration = {};          ///< for int8; empty unless calibrated
};

/// Reads a .pt of YOLOv5 v5.0 to v7.0 or a .safetensors written by save_checkpoint; the type is
/// detected from the content. The graph comes from the file's own description or, for a bare state
/// dict, from the names and shapes of its weights. throws FileError, also for NaN and infinity.
Checkpoint load_checkpoint(const std::filesystem::path& path, PtWeights prefer);

enum class StoredWeights {
  kFloat32,
  /// Convolution weights rounded to int8 -127..127 per output channel, a quarter of the size. Call
  /// Model::round_to_bytes() first, so that the biases compensate for the rounding.
  kBytes,
};

/// Writes a .safetensors atomically; metadata holds the graph, the classes, the calibration
/// where there is one, and a format version. load_checkpoint reads either form.
/// throws FileError; NotFiniteError for a weight that bytes cannot represent.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint,
                     StoredWeights weights = StoredWeights::kFloat32);

struct LoadReport {
  int64_t loaded = 0, total = 0;     ///< numbers of tensors: parameters and running statistics
  std::vector<std::string> missing;  ///< not in the file
  std::vector<std::string>
      mismatched;  ///< other shape: "model.24.m.0.weight: file [255,..], model [60,..]"
};

/// Copies tensors into the model where name and shape agree, as YOLOv5's transfer learning does.
/// throws ValueError if none agrees, NotFiniteError for NaN or infinity in what is copied.
LoadReport load_weights(Model& model, const NamedTensors& tensors);
/// The same, but throws ValueError naming the first tensor that is missing or of another shape.
void load_all_weights(Model& model, const NamedTensors& tensors);

/// All parameters and running statistics (and the anchors, in grid units, as the original keeps
/// them), under the original names, OIHW, each a copy.
NamedTensors export_weights(const Model& model);
/// The same for flat buffers with the layout of the model's own: momentum, EMA, gradients.
NamedTensors export_parameters(const Model& model, const Tensor& flat);
NamedTensors export_statistics(const Model& model, const Tensor& flat);
/// The auxiliary parameters, which the functions above leave out.
NamedTensors export_auxiliary(const Model& model, const Tensor& flat);
/// The inverse of each. throws ValueError for a missing tensor.
void import_parameters(const Model& model, const NamedTensors& tensors, const Tensor& flat);
void import_auxiliary(const Model& model, const NamedTensors& tensors, const Tensor& flat);
void import_statistics(const Model& model, const NamedTensors& tensors, const Tensor& flat);

/// Builds a model from a checkpoint, which must have every weight.
std::unique_ptr<Model> build_model(const Checkpoint& checkpoint, const Compute& compute = {});
/// The same for inference only: prepared, with its weights folded in place. For int8 the checkpoint
/// must be calibrated. throws ValueError.
std::unique_ptr<Model> build_inference_model(const Checkpoint& checkpoint, const Compute& compute);

}  // namespace ydistill
