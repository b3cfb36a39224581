// SPDX-License-Identifier: MIT
// The feature term of the distillation pulls the student's last feature maps before the head
// towards the teacher's, channel by channel, by their correlation (Cao et al., "PKD: General
// Distillation Framework for Object Detectors via Pearson Correlation Coefficient", arXiv
// 2207.02039). A map may differ from the teacher's by a factor and an offset per channel and still
// agree with it, so the scale of the teacher's activations does not matter. Value and gradient are
// computed together.
#pragma once

#include <vector>

#include <ydistill/autograd/var.h>

namespace ydistill {

/// student   [N,H,W,C] of each scale: float32, or bfloat16, or on the CPU float64
/// teacher   the same shapes, dtypes and device; constants: no gradient ever reaches them
/// gain      >= 0
/// term      receives the value as float64 [1] on the device of the features
/// returns   the scalar gain * N * sum over scales of mean over channels of 1 - r, float32, or
///           float64 for float64 features, where over the M = N H W positions of a channel
///             r = cov(s, t) / sqrt((var s + eps) (var t + eps)),   eps = 1e-6
///           is 1 where both agree and 0 for a channel that does not vary. Its gradient is
///             d(1 - r) / d s = -((t - mean t) / sqrt((var s + eps) (var t + eps))
///                                - r (s - mean s) / (var s + eps)) / M
/// N is that of this call. As in batch norm, a batch that is divided over processes or accumulation
/// steps is correlated part by part. 0 for no pictures.
/// Short pieces are summed in float (double for float64), their sums in double and in a fixed
/// order. On a GPU nothing is read back, so the call may be captured into a graph.
/// throws    ShapeError for no scales; ShapeError, DTypeError, DeviceError where the features
///           differ, naming both; ValueError for a gain out of range.
Var feature_loss(const std::vector<Var>& student, const std::vector<Tensor>& teacher, double gain,
                 Tensor& term);

}  // namespace ydistill
