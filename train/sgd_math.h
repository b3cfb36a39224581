// SPDX-License-Identifier: MIT
// The optimizer's formulas, for either backend; see sgd.h.
#pragma once

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// What a step does to one number, on the way from `value`, `momentum` and `ema` to the new ones.
struct SgdState {
  float value, momentum, ema;
};

/// The numbers of one parameter group.
struct SgdFactors {
  float lr, momentum, decay, grad_scale, ema_keep;
};

YD_HOST_DEVICE float sgd_average(float ema, float value, float keep) {
  return keep * ema + (1.0f - keep) * value;
}

YD_HOST_DEVICE SgdState sgd_update(const SgdState& s, float grad, const SgdFactors& f) {
  const float g = f.grad_scale * grad + f.decay * s.value;
  const float b = f.momentum * s.momentum + g;
  const float p = s.value - f.lr * (g + f.momentum * b);
  return {p, b, sgd_average(s.ema, p, f.ema_keep)};
}

/// What gradients of this norm are multiplied with. clip_norm 0: no clipping. PyTorch's
/// clip_grad_norm_ divides by norm + 1e-6.
YD_HOST_DEVICE float sgd_clip_scale(double norm, double clip_norm) {
  const double scale = clip_norm / (norm + 1e-6);
  return clip_norm > 0 && scale < 1 ? float(scale) : 1.0f;
}

YD_HOST_DEVICE bool sgd_is_finite(double norm) {
  return norm - norm == 0;
}

}  // namespace ydistill
