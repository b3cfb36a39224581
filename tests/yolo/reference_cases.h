// SPDX-License-Identifier: MIT
// The recorded training batch: its cases, heads in our layout, and how far a result may be off.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/yolo/anchors.h>
#include <ydistill/yolo/detection_loss.h>

namespace ydistill::test {

/// One entry of the metadata `cases`.
struct ReferenceCase {
  std::string name;
  std::string distill;  // none, l2, kl, bce
  double temperature = 0;
  bool detection = false, other_anchors = false, with_targets = false;
  int64_t steps = 0;
  LossGains gains, distill_gains;
};

/// Heads are recorded as [N,A,H,W,5+C]; ours are [N,H,W,A,5+C].
Tensor our_layout(const Tensor& recorded_head);

/// Heads of a recorded picture. The first was thinned out to every fourth row and column: the boxes
/// between get an objectness that never passes.
std::vector<Tensor> recorded_heads(const TensorFile& file, const std::string& name);

struct Reference {
  explicit Reference(const std::filesystem::path& path);

  /// `prefix` followed by 0, 1, 2, in our layout.
  std::vector<Tensor> heads(const std::string& prefix) const;
  /// Recorded in cells of the strides 8, 16, 32.
  Anchors anchors(const std::string& name) const;
  Tensor targets(const ReferenceCase& c) const;

  /// The largest difference of `ours` and the recorded tensor, as a share of the limit: ten times
  /// the recorded noise and at least 5e-6 of the largest entry; of the box, objectness and class
  /// columns separately in heads (rank 5) and decoded boxes (rank 3). Infinity where a number is
  /// not finite or the tensor is missing or of another shape.
  double share_of_limit(const Tensor& ours, const std::string& name) const;

  TensorFile file;
  std::vector<ReferenceCase> cases;
  std::map<std::string, double> noise;
};

}  // namespace ydistill::test
