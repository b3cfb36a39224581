// SPDX-License-Identifier: MIT
// The detection loss of heads on a GPU.
#pragma once

#include <vector>

#include <ydistill/yolo/detection_loss.h>

namespace ydistill::cuda {

/// balance: one entry per head. grads: like logits, fully written, or undefined if not wanted.
/// terms: float64 [3], total: float32 [], both written. All on one GPU and float32.
/// throws DTypeError; ValueError for too many anchors or targets.
void detection_loss(const std::vector<Tensor>& logits, const std::vector<HeadDims>& dims,
                    const Tensor& targets, const Anchors& anchors,
                    const DetectionLossOptions& options, const std::vector<double>& balance,
                    const std::vector<Tensor>& grads, const Tensor& terms, const Tensor& total);

}  // namespace ydistill::cuda
