// SPDX-License-Identifier: MIT
#include <ydistill/distill/distill_loss.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <ydistill/distill/distill_loss_kernels.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/scaled_grads.h>

namespace ydistill {
namespace {

const Op kDistillLoss("distill_loss");

constexpr int64_t kCellsPerChunk = 512;

void check_options(const DistillOptions& o) {
  if (!(o.temperature > 0) || !std::isfinite(o.temperature)) {
    throw ValueError("distill_loss: temperature is {}, must be > 0", o.temperature);
  }
  for (const double gain : {o.gains.box, o.gains.obj, o.gains.cls}) {
    if (!(gain >= 0) || !std::isfinite(gain)) {
      throw ValueError("distill_loss: a gain is {}, must be at least 0", gain);
    }
  }
}

/// The teacher's heads have the student's shapes and dtype, its anchors the student's strides.
void check_teacher(const std::vector<Tensor>& student, const std::vector<Tensor>& teacher,
                   const Anchors& student_anchors, const Anchors& teacher_anchors) {
  if (teacher.size() != student.size()) {
    throw ShapeError("distill_loss: the student has {} heads, the teacher {}", student.size(),
                     teacher.size());
  }
  for (size_t k = 0; k < student.size(); ++k) {
    const std::string found = teacher[k].defined() ? teacher[k].str() : "undefined";
    if (!teacher[k].defined() || teacher[k].shape() != student[k].shape()) {
      throw ShapeError("distill_loss: head {}: the student's is {}, the teacher's {}", k,
                       student[k].str(), found);
    }
    if (teacher[k].dtype() != student[k].dtype()) {
      throw DTypeError("distill_loss: head {}: the student's is {}, the teacher's {}", k,
                       student[k].str(), found);
    }
  }
  check_heads("distill_loss: teacher", teacher, teacher_anchors);
  for (size_t k = 0; k < student.size(); ++k) {
    if (teacher_anchors.strides[k] != student_anchors.strides[k]) {
      throw ValueError("distill_loss: head {}: the student's stride is {}, the teacher's {}", k,
                       student_anchors.strides[k], teacher_anchors.strides[k]);
    }
  }
}

DistillClassTerm class_term_of(DistillKind kind, int64_t classes) {
  if (classes == 1) return DistillClassTerm::kNone;
  switch (kind) {
    case DistillKind::kKl:
      return DistillClassTerm::kKl;
    case DistillKind::kBce:
      return DistillClassTerm::kBce;
    default:
      return DistillClassTerm::kL2;
  }
}

/// sqrt(teacher's anchor / student's anchor) of one head, [anchors, 2].
template <class T>
std::vector<T> ratios_of(const Anchors& student, const Anchors& teacher, size_t head) {
  std::vector<T> ratios;
  for (size_t a = 0; a < student.wh_px[head].size(); ++a) {
    for (size_t side = 0; side < 2; ++side) {
      ratios.push_back(T(std::sqrt(teacher.wh_px[head][a][side] / student.wh_px[head][a][side])));
    }
  }
  return ratios;
}

/// Runs over a head in chunks of whole cells, so that each chunk begins with anchor 0.
template <class T>
DistillSums run_head(DistillArgs<T> head) {
  const int64_t width = 5 + head.classes;
  const int64_t cells = head.boxes / head.anchors;
  std::vector<DistillSums> chunks(size_t((cells + kCellsPerChunk - 1) / kCellsPerChunk));
  parallel_ranges(cells, kCellsPerChunk, [&](int64_t begin, int64_t end) {
    DistillArgs<T> args = head;
    const int64_t first = begin * head.anchors * width;
    args.student += first;
    args.teacher += first;
    if (args.grad != nullptr) args.grad += first;
    args.boxes = (end - begin) * head.anchors;
    DistillSums& sums = chunks[size_t(begin / kCellsPerChunk)];
    if constexpr (std::is_same_v<T, float>) {
      sums = distill_kernels().distill_f32(args);
    } else {
      sums = distill_kernels().distill_f64(args);
    }
  });
  DistillSums total{0, 0, 0};
  for (const DistillSums& c : chunks) {
    total.box += c.box;
    total.obj += c.obj;
    total.cls += c.cls;
  }
  return total;
}

}  // namespace

DistillKind distill_kind_of(const std::string& name) {
  if (name == "l2") return DistillKind::kL2;
  if (name == "kl") return DistillKind::kKl;
  if (name == "bce") return DistillKind::kBce;
  throw ValueError("distillation loss: \"{}\" is none of \"l2\", \"kl\", \"bce\"", name);
}

LossGains scaled_distill_gains(double gain, const LossGains& base, int64_t num_classes,
                               int64_t num_heads, int64_t image_size) {
  const LossGains scaled = scaled_gains(base, num_classes, num_heads, image_size);
  return {gain * base.box, gain * scaled.obj, gain * scaled.cls};
}

bool same_anchors(const Anchors& a, const Anchors& b) {
  if (a.num_heads() != b.num_heads() || a.per_head() != b.per_head()) return false;
  for (size_t k = 0; k < a.wh_px.size(); ++k) {
    for (size_t i = 0; i < a.wh_px[k].size(); ++i) {
      for (size_t side = 0; side < 2; ++side) {
        const double x = a.wh_px[k][i][side], y = b.wh_px[k][i][side];
        if (!(std::abs(x - y) <= 1e-3 * std::max(x, y))) return false;
      }
    }
  }
  return true;
}

Var distill_loss(const std::vector<Var>& student_heads, const std::vector<Tensor>& teacher_heads,
                 const Anchors& student_anchors, const Anchors& teacher_anchors,
                 const DistillOptions& options, DistillTerms* terms) {
  check_options(options);
  std::vector<Tensor> logits;
  for (const Var& head : student_heads) logits.push_back(head.defined() ? head.value() : Tensor());
  const std::vector<HeadDims> dims = check_heads("distill_loss", logits, student_anchors);
  check_teacher(logits, teacher_heads, student_anchors, teacher_anchors);
  const bool rescale = !same_anchors(student_anchors, teacher_anchors);
  const double pictures = double(dims[0].pictures);

  DistillTerms sums;
  std::vector<Tensor> grads(logits.size());
  dispatch_float(logits[0].dtype(), "distill_loss", [&](auto type) {
    using T = decltype(type);
    for (size_t k = 0; k < logits.size(); ++k) {
      DistillArgs<T> args{};
      args.student = logits[k].data<T>();
      args.teacher = teacher_heads[k].data<T>();
      if (is_recording({&student_heads[k]})) {
        grads[k] = Tensor::empty(logits[k].shape(), logits[k].dtype());
        args.grad = grads[k].data<T>();
      }
      args.boxes = dims[k].pictures * dims[k].cells();
      if (args.boxes == 0) continue;
      args.classes = dims[k].classes();
      args.anchors = dims[k].anchors;
      const std::vector<T> ratios = ratios_of<T>(student_anchors, teacher_anchors, k);
      args.wh_ratios = rescale ? ratios.data() : nullptr;
      args.class_term = class_term_of(options.kind, args.classes);
      args.temperature = T(options.temperature);
      // Rescaled, the box term is two means over two channels each.
      const double boxes = double(args.boxes);
      const double box_factor = pictures * options.gains.box / (boxes * (rescale ? 2 : 4));
      const double obj_factor = pictures * options.gains.obj / boxes;
      const double cls_factor = pictures * options.gains.cls / (boxes * double(args.classes));
      args.box_scale = T(box_factor);
      args.obj_scale = T(obj_factor);
      args.cls_scale = T(cls_factor);
      const DistillSums head = run_head(args);
      sums.box += box_factor * head.box;
      sums.obj += obj_factor * head.obj;
      sums.cls += cls_factor * head.cls;
    }
  });
  if (terms != nullptr) *terms = sums;

  const Tensor total = Tensor::full(Shape{}, sums.box + sums.obj + sums.cls, logits[0].dtype());
  return record(kDistillLoss, total, student_heads,
                [grads](const Tensor& grad_out) { return scaled_grads(grads, grad_out.item()); });
}

}  // namespace ydistill
