// SPDX-License-Identifier: MIT
// The optimizer's formulas, for either backend; see optimizer.h.
#pragma once

#include <cmath>

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// The state of one number: a step maps the old `value`, `momentum` and `ema` to the new ones.
struct OptimizerState {
  float value, momentum, ema;
  float squares;  // only for AdamW
};

/// The numbers of one parameter group.
struct OptimizerFactors {
  float lr, momentum, decay, grad_scale, ema_keep;
  float momentum_correction, squares_correction;  // only for AdamW
};

inline constexpr double kAdamSquares = 0.999;  // beta_2
inline constexpr float kAdamEpsilon = 1e-8f;

YD_HOST_DEVICE float optimizer_average(float ema, float value, float keep) {
  return keep * ema + (1.0f - keep) * value;
}

YD_HOST_DEVICE OptimizerState sgd_update(const OptimizerState& s, float grad,
                                         const OptimizerFactors& f) {
  const float g = f.grad_scale * grad + f.decay * s.value;
  const float b = f.momentum * s.momentum + g;
  const float p = s.value - f.lr * (g + f.momentum * b);
  return {p, b, optimizer_average(s.ema, p, f.ema_keep), s.squares};
}

YD_HOST_DEVICE OptimizerState adamw_update(const OptimizerState& s, float grad,
                                           const OptimizerFactors& f) {
  const float g = f.grad_scale * grad;
  const float m = f.momentum * s.momentum + (1.0f - f.momentum) * g;
  const float v = float(kAdamSquares) * s.squares + float(1 - kAdamSquares) * g * g;
  const float step =
      f.momentum_correction * m / (std::sqrt(v) * f.squares_correction + kAdamEpsilon);
  const float p = (1.0f - f.lr * f.decay) * s.value - f.lr * step;
  return {p, m, optimizer_average(s.ema, p, f.ema_keep), v};
}

/// The factor for gradients of this norm. clip_norm 0: no clipping. PyTorch's clip_grad_norm_
/// divides by norm + 1e-6.
YD_HOST_DEVICE float optimizer_clip_scale(double norm, double clip_norm) {
  const double scale = clip_norm / (norm + 1e-6);
  return clip_norm > 0 && scale < 1 ? float(scale) : 1.0f;
}

YD_HOST_DEVICE bool optimizer_is_finite(double norm) {
  return norm - norm == 0;
}

}  // namespace ydistill
