// SPDX-License-Identifier: MIT
// PyTorch checkpoints (.pt, the zip form that torch.save writes since 1.6), read without Python.
//
// Nothing in the file is ever called: the pickle becomes inert nodes (pickle.h), of which only
// tensor rebuilders, storages, dictionaries and numpy scalars have a meaning here. Weights are
// found by walking _modules, _parameters and _buffers of the pickled module.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// Which of a checkpoint's two models is preferred. If the file has only the other one, that is
/// read; PtCheckpoint::source tells which.
enum class PtWeights {
  kModel,  ///< `model`, for training
  kEma,    ///< `ema`, the averaged weights, for inference
};

struct PtCheckpoint {
  /// State-dict names ("model.0.conv.weight", "model.24.anchors"), parameters, then buffers, then
  /// children of each module, layouts as in PyTorch (convolution weights OIHW). Half, bfloat16 and
  /// float become float32; double stays; integers become int64, uint8 and bool too.
  std::vector<std::pair<std::string, Tensor>> tensors;
  /// Path and Python class of every module: ("", "models.yolo.Model") first, then ("model", ...),
  /// ("model.0", "models.common.Focus"), ... Empty for a bare state dict.
  std::vector<std::pair<std::string, std::string>> modules;
  std::vector<std::string> class_names;  ///< `names`, list or dict; may be empty
  std::string spec_json;                 ///< the model's `yaml` as JSON, in its order; "" if absent
  std::vector<double> strides;           ///< pixels per cell of each head; may be empty
  int64_t epoch = -1;                    ///< -1: finished, or not stated
  std::string source;                    ///< "ema", "model" or "state_dict"

  /// Null if there is none of this name.
  const Tensor* find(std::string_view name) const;
};

/// throws FileError in one line for a file that is missing, truncated, no zip archive, a zip bomb,
/// or not a checkpoint; for anything except a tensor where a weight is expected (naming the global
/// that the pickle wanted to call), and in a build without support for .pt files.
PtCheckpoint read_pt(const std::filesystem::path& path, PtWeights prefer);

}  // namespace ydistill
