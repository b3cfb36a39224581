// SPDX-License-Identifier: MIT
#include <ydistill/train/validation_memory.h>

#include <algorithm>
#include <utility>

#include <ydistill/data/loader.h>
#include <ydistill/train/loader_options.h>
#include <ydistill/train/step_runner.h>

namespace ydistill {

ValidationMemory::ValidationMemory(const Config& config, std::shared_ptr<const Dataset> pictures,
                                   const GraphSpec& student, const StepLosses& losses,
                                   Teacher* teacher, const Compute& compute)
    : student_(std::make_unique<Model>(student, compute)),
      loss_(*losses.detection),
      teacher_(teacher != nullptr && config.teacher->validate ? teacher : nullptr) {
  loss_.labelled = {};
  const int64_t stride = student.max_stride();
  shapes_ = ValLoader(std::move(pictures), val_loader_options(config.val, stride, /*workers=*/0))
                .batch_shapes();
  student_->prepare_inference(FoldedWeights::kInPlace);
}

Shape ValidationMemory::batch_of(int64_t pictures) const {
  return {pictures, shapes_[0][1], shapes_[0][2], 3};
}

InferenceMemory ValidationMemory::of_student(int64_t pictures) const {
  // As in evaluate(): the loss is computed while the logits are alive.
  return memory_of_inference(*student_, batch_of(pictures), [&](const std::vector<Tensor>& logits) {
    const std::vector<Var> heads(logits.begin(), logits.end());
    detection_loss(heads, Tensor::zeros({0, 6}), student_->spec().anchors, loss_);
  });
}

int64_t ValidationMemory::arena_bytes(int64_t pictures) const {
  const int64_t student = of_student(pictures).arena_bytes;
  if (teacher_ == nullptr) return student;
  return std::max(student, memory_of_inference(teacher_->model(), batch_of(pictures)).arena_bytes);
}

int64_t ValidationMemory::largest_batch(int64_t limit) const {
  return largest_below(limit, [&](int64_t pictures) { return arena_bytes(pictures); });
}

}  // namespace ydistill
