// SPDX-License-Identifier: MIT
// The checked heads of a distillation loss and their factors, as both backends receive them.
#pragma once

#include <vector>

#include <ydistill/distill/distill_loss_kernels.h>
#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/anchors.h>

namespace ydistill {

struct DistillHead {
  Tensor student, teacher;  ///< [N,H,W,A,5+C]
  Tensor grad;              ///< of the same shape, fully written; undefined where not wanted
  Tensor objectness;        ///< [N,H,W,A] the teacher's after FM-NMS; undefined without FM-NMS
  HeadDims dims;
  DistillClassTerm class_term = DistillClassTerm::kNone;
  DistillObjectnessTerm objectness_term = DistillObjectnessTerm::kSquared;
  std::vector<int64_t> known_classes;  ///< ascending; empty: all
  double temperature = 1;
  /// [A, 2] sqrt(teacher's anchor / student's anchor); empty where the anchors are the same.
  std::vector<double> wh_ratios;
  /// Factors of the sums over boxes. With per_object, those of box and cls must still be divided by
  /// the sum of the weights of all heads.
  double box_factor = 0, obj_factor = 0, cls_factor = 0;
  bool per_object = false;

  int64_t num_boxes() const { return dims.pictures * dims.cells(); }
};

namespace cuda {
/// Writes the gradients, terms (float64 [3]) and total (float32 []). All on one GPU.
/// throws DTypeError unless float32; ValueError for too many anchors or classes.
void distill_loss(const std::vector<DistillHead>& heads, const Tensor& terms, const Tensor& total);
}  // namespace cuda

}  // namespace ydistill
