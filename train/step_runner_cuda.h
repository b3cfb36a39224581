// SPDX-License-Identifier: MIT
// The runner on a GPU. A batch is copied through pinned memory and a copy stream while the previous
// one is computed; a batch of plans is sent the same way and becomes images on the GPU. The teacher
// runs on its own stream beside the student. A batch shape that occurs a second time is captured:
// teacher, student, losses and backward pass as one CUDA graph, the optimizer step as another. The
// host waits in take(), and in accumulate() only for a free upload buffer, for uploads of new
// pictures and where an old graph is evicted.
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
