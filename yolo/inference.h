// SPDX-License-Identifier: MIT
// A network used again and again: logits of batch after batch, on a GPU replayed as a captured
// graph.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <ydistill/yolo/model.h>

namespace ydistill {

/// Runs a model in inference mode. On a GPU a shape of batch that came twice is captured, so that
/// the host starts one graph instead of a few hundred kernels, which is what a small batch waits
/// for. Not thread-safe.
class Inference {
 public:
  /// model: prepared for inference, outlives this. Its weights must not change any more.
  /// arena: of the model's device, used by nothing else meanwhile; a new one where absent. Only on
  /// a GPU.
  explicit Inference(Model& model, std::shared_ptr<Arena> arena = {});
  ~Inference();
  Inference(Inference&&) noexcept;
  Inference& operator=(Inference&&) noexcept;

  /// images: uint8 [N,H,W,3] on any device. returns the raw logits of each scale, [N,H,W,A,5+C]
  /// float32 on the model's device; on a GPU they are good until the next call.
  /// throws as Model::forward.
  std::vector<Tensor> logits(const Tensor& images);
  /// The most memory of the device that batches have taken so far, in bytes; 0 on the CPU, where it
  /// comes from the arena that is open.
  int64_t memory_bytes() const;

 private:
  struct Captured;
  Model* model_;
  std::unique_ptr<Captured> captured_;  // on a GPU
};

/// What inference takes, without parameters.
struct InferenceMemory {
  int64_t arena_bytes = 0;   ///< activations and scratch: the peak of an arena
  int64_t packed_bytes = 0;  ///< working copies of weights, kept from batch to batch
  int64_t plans = 0;         ///< convolutions planned
};

/// Of a model on the CPU, prepared for inference, for a batch of this shape [N,H,W,3]; nothing is
/// computed (DryRun). then: what is done with the logits, in the same dry run.
/// throws as Model::forward.
InferenceMemory memory_of_inference(
    Model& model, const Shape& images,
    const std::function<void(const std::vector<Tensor>&)>& then = {});

}  // namespace ydistill
