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

std::unique_ptr<StepRunner> make_step_runner(Model& student, Teacher* teacher, Optimizer& optimizer,
                                             StepLosses& losses, std::shared_ptr<Arena> arena,
                                             std::shared_ptr<DevicePictures> pictures,
                                             Exchange& exchange);

/// Adds a step's terms and squares to sums: float64 on the GPU, in the order of step_sums().
void add_step_terms(const Tensor& sums, const StepResult& result, int64_t pictures);

}  // namespace ydistill::cuda
