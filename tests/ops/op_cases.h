// SPDX-License-Identifier: MIT
// One entry for every differentiable op. ops_test.cpp runs the shared checks over this table and
// fails if an op that is linked in has no entry, so a new op cannot forget them.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include <ydistill/autograd/var.h>

namespace ydistill::test {

struct OpCase {
  std::string op;              ///< the name it records under
  std::string variant;         ///< what is special about this case
  std::vector<Tensor> inputs;  ///< float64, away from kinks
  std::function<std::vector<Var>(const std::vector<Var>&)> run;
  bool accepts_empty_batch = true;  ///< the first size of every input can be 0
  /// Inputs that are float32 where the others are bfloat16: parameters, and the logits of a loss.
  std::set<size_t> always_float = {};
};

std::vector<OpCase> layer_op_cases();
std::vector<OpCase> loss_op_cases();

}  // namespace ydistill::test
