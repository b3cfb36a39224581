// SPDX-License-Identifier: MIT
// Repeated inference: logits of many batches, on a GPU by replaying a captured graph.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <ydistill/yolo/model.h>

namespace ydistill {

/// Runs a model in inference mode. On a GPU the work for a batch shape is captured when the shape
/// occurs the second time, so that the host launches one graph instead of a few hundred kernels;
/// those launches limit small batches. Not thread-safe.
class Inference {
 public:
  /// model: prepared for inference, must outlive this; its weights must not change any more.
  /// arena: on the model's device, not used by anything else; null: a new one. Used only on a GPU.
  explicit Inference(Model& model, std::shared_ptr<Arena> arena = {});
  ~Inference();
  Inference(Inference&&) noexcept;
  Inference& operator=(Inference&&) noexcept;

  /// images: uint8 [N,H,W,3] on any device. returns the raw logits of each head, [N,H,W,A,5+C]
  /// float32 on the model's device; on a GPU they are valid until the next call.
  /// throws as Model::forward.
  std::vector<Tensor> logits(const Tensor& images);
  /// Peak GPU memory of batches so far, in bytes; 0 on the CPU, where memory comes from the arena
  /// that is open.
  int64_t memory_bytes() const;

 private:
  struct Captured;
  Model* model_;
  std::unique_ptr<Captured> captured_;  // on a GPU
};

/// Memory that inference needs, without parameters.
struct InferenceMemory {
  int64_t arena_bytes = 0;   ///< activations and scratch: the peak of an arena
  int64_t packed_bytes = 0;  ///< packed copies of weights, kept between batches
  int64_t plans = 0;         ///< number of convolution plans
};

/// For a model on the CPU, prepared for inference, and a batch of this shape [N,H,W,3]; nothing is
/// computed (DryRun). then: called with the logits in the same dry run.
/// throws as Model::forward.
InferenceMemory memory_of_inference(
    Model& model, const Shape& images,
    const std::function<void(const std::vector<Tensor>&)>& then = {});

}  // namespace ydistill
