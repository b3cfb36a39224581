// SPDX-License-Identifier: MIT
// The loop of the distillation loss over the boxes of a head.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

enum class DistillClassTerm { kNone, kL2, kKl, kBce };

enum class DistillObjectnessTerm {
  kSquared,       // weighted, of the logits
  kCrossEntropy,  // of the sigmoids, all boxes weighted equally
  kWeightedCrossEntropy
};

template <class T>
struct DistillArgs {
  const T* student;  // [boxes, 5 + classes]
  const T* teacher;
  T* grad;  // of the student's logits, fully written; or null
  int64_t boxes, classes;
  int64_t anchors;     // box i has anchor i % anchors; the first box has anchor 0
  const T* wh_ratios;  // [anchors, 2], or null where the anchors are the same
  DistillClassTerm class_term;
  DistillObjectnessTerm objectness_term;
  T temperature;
  // Factors of the gradients of the three terms. With per_object, box and cls are already divided
  // by the number of objects on the CPU, but not yet on a GPU.
  T box_scale, obj_scale, cls_scale;
  const T* objectness;  // [boxes] the teacher's after FM-NMS, or null: those in `teacher`
  // On the CPU: the classes that count, ascending; null: all.
  const int64_t* known;
  int64_t num_known;
};

/// Sums over boxes and channels, weighted by the teacher's objectness.
struct DistillSums {
  double box, obj, cls;
};

struct DistillKernels {
  /// Sum of sigmoid(logits[i * step]) for i below count.
  double (*sum_sigmoids_f32)(const float* logits, int64_t step, int64_t count);
  double (*sum_sigmoids_f64)(const double* logits, int64_t step, int64_t count);
  DistillSums (*distill_f32)(const DistillArgs<float>&);
  DistillSums (*distill_f64)(const DistillArgs<double>&);
};
YD_DECLARE_CPU_KERNELS(DistillKernels, distill_kernels);

}  // namespace ydistill
