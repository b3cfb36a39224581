// SPDX-License-Identifier: MIT
// The runner on a GPU. A batch goes through pinned memory and a copy stream while the one before is
// computed; a batch of plans goes the same way and becomes images on the GPU; the teacher runs on a
// stream of its own beside the student; a shape of batch that came twice is captured, teacher,
// student, losses and backward together, as one CUDA graph, and the optimizer's step as another.
// The host waits only in take().
#pragma once

#include <memory>

#include <ydistill/train/step_runner.h>

namespace ydistill::cuda {

std::unique_ptr<StepRunner> make_step_runner(Model& student, Teacher* teacher, Sgd& sgd,
                                             StepLosses& losses, std::shared_ptr<Arena> arena,
                                             std::shared_ptr<DevicePictures> pictures);

/// sums [4] += detection's box, obj, cls, and distill's sum divided by `pictures`. All float64 on
/// the GPU; either terms tensor [3] may be undefined.
void add_step_terms(const Tensor& sums, const Tensor& detection_terms, const Tensor& distill_terms,
                    int64_t pictures);

}  // namespace ydistill::cuda
