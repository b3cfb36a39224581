// SPDX-License-Identifier: MIT
// Converts maps to other numbers of channels, for a distillation that compares them with a
// teacher's.
#pragma once

#include <string>
#include <vector>

#include <ydistill/layers/conv2d.h>
#include <ydistill/layers/module.h>

namespace ydistill {

/// A 1x1 convolution without bias for each map whose number of channels differs from the wanted
/// one; declares NAME.K.weight [out_K,1,1,in_K], auxiliary.
class Projections {
 public:
  /// throws ShapeError unless both lists have the same length.
  Projections(ParameterStore& store, const std::string& name,
              const std::vector<int64_t>& in_channels, const std::vector<int64_t>& out_channels);

  /// xs[k] [N,H_k,W_k,in_k] -> [N,H_k,W_k,out_k]; the same map where both are equal.
  std::vector<Var> forward(const std::vector<Var>& xs) const;
  /// Uniform in +-1/sqrt(in_k).
  void initialise(Rng& rng);

 private:
  static constexpr int kNone = -1;
  ParameterStore& store_;
  std::vector<int> weights_;  // of each map, or kNone
};

}  // namespace ydistill
