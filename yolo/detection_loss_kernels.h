// SPDX-License-Identifier: MIT
// CPU loops of the detection loss over all boxes of a head or all classes of a match.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

template <class T>
struct BceOptions {
  T pos_weight;
  T focal_gamma;  // 0: plain BCE
  T grad_scale;   // the gradient is multiplied by it
};

/// Boxes in memory order; each has `width` numbers, the fifth is the objectness logit.
template <class T>
struct ObjectnessArgs {
  const T* logits;
  const T* targets;  // one per box
  T* grad;           // like logits, or null; set to 0 except for objectness
  int64_t boxes, width;
  BceOptions<T> bce;
};

/// The class logits of one match.
template <class T>
struct ClassArgs {
  const T* logits;
  T* grad;  // the gradient is added to it; or null
  int64_t classes, class_id;
  T positive, negative;  // targets of the right class and of the others
  BceOptions<T> bce;
};

/// Each returns the sum of the losses.
struct DetectionLossKernels {
  double (*objectness_f32)(const ObjectnessArgs<float>&);
  double (*objectness_f64)(const ObjectnessArgs<double>&);
  double (*classes_f32)(const ClassArgs<float>&);
  double (*classes_f64)(const ClassArgs<double>&);
};
YD_DECLARE_CPU_KERNELS(DetectionLossKernels, detection_loss_kernels);

}  // namespace ydistill
