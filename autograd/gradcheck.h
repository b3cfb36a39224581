// SPDX-License-Identifier: MIT
// Checks a hand-written backward pass against finite differences.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ydistill/autograd/var.h>

namespace ydistill {

struct GradcheckOptions {
  double step = 1e-6;          ///< central difference: (f(x + step) - f(x - step)) / (2 step)
  double tolerance = 1e-6;     ///< on |analytic - numeric| / max(1, |numeric|)
  uint64_t seed = 1;           ///< seed of the random weights of the outputs
  int64_t max_elements = 200;  ///< per input, roughly; larger ones are sampled evenly
};

struct GradcheckResult {
  bool ok = false;
  double worst = 0;   ///< largest error seen; NaN counts as a failure
  std::string where;  ///< "input 1, element 7: analytic 0.31, numeric 0.29"
  explicit operator bool() const { return ok; }
};

/// Compares d sum(w * f(inputs)) / d inputs with central differences, w random. A plain sum would
/// hide errors: softmax has gradient zero under it, and a backward that forgets grad_out passes.
/// inputs: float64 tensors, kept off kinks by the caller; f receives them as leaf Vars and may
/// return several outputs.
/// throws DTypeError unless all inputs are float64.
GradcheckResult gradcheck(const std::function<std::vector<Var>(const std::vector<Var>&)>& f,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

}  // namespace ydistill
