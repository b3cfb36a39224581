// SPDX-License-Identifier: MIT
#include <ydistill/distill/distill_loss.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <ydistill/distill/distill_loss_heads.h>
#include <ydistill/distill/feature_map_nms.h>
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
    if (teacher[k].device() != student[k].device()) {
      throw DeviceError("distill_loss: head {}: the student's is on {}, the teacher's on {}", k,
                        student[k].device().str(), teacher[k].device().str());
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

void check_known_classes(const std::vector<int64_t>& known, int64_t classes) {
  int64_t last = -1;
  for (const int64_t c : known) {
    if (c <= last || c >= classes) {
      throw ValueError("distill_loss: known class {} of {} classes, must be ascending from 0", c,
                       classes);
    }
    last = c;
  }
}

DistillObjectnessTerm objectness_term_of(const DistillOptions& options) {
  if (options.objectness == DistillObjectness::kL2) return DistillObjectnessTerm::kSquared;
  return options.known_classes.empty() ? DistillObjectnessTerm::kCrossEntropy
                                       : DistillObjectnessTerm::kWeightedCrossEntropy;
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
std::vector<double> ratios_of(const Anchors& student, const Anchors& teacher, size_t head) {
  std::vector<double> ratios;
  for (size_t a = 0; a < student.wh_px[head].size(); ++a) {
    for (size_t side = 0; side < 2; ++side) {
      ratios.push_back(std::sqrt(teacher.wh_px[head][a][side] / student.wh_px[head][a][side]));
    }
  }
  return ratios;
}

/// Processes a head in chunks of whole cells, so that each chunk begins with anchor 0.
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
    if (args.objectness != nullptr) args.objectness += begin * head.anchors;
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

/// Sum over all heads of sigmoid(teacher's objectness), at least the number of pictures.
double count_objects(const std::vector<DistillHead>& heads) {
  double total = 0;
  for (const DistillHead& head : heads) {
    const Tensor& own = head.objectness;
    const Tensor& logits = own.defined() ? own : head.teacher;
    const int64_t first = own.defined() ? 0 : 4, step = own.defined() ? 1 : head.dims.width;
    std::vector<double> chunks(size_t((head.num_boxes() + kCellsPerChunk - 1) / kCellsPerChunk));
    parallel_ranges(head.num_boxes(), kCellsPerChunk, [&](int64_t begin, int64_t end) {
      const int64_t at = first + begin * step;
      chunks[size_t(begin / kCellsPerChunk)] =
          logits.dtype() == DType::kFloat32
              ? distill_kernels().sum_sigmoids_f32(logits.data<float>() + at, step, end - begin)
              : distill_kernels().sum_sigmoids_f64(logits.data<double>() + at, step, end - begin);
    });
    for (const double chunk : chunks) total += chunk;
  }
  return std::max(total, double(heads[0].dims.pictures));
}

void loss_on_cpu(const std::vector<DistillHead>& heads, const Tensor& terms, const Tensor& total) {
  DistillTerms sums;
  const double objects = !heads.empty() && heads[0].per_object ? count_objects(heads) : 1;
  dispatch_float(total.dtype(), "distill_loss", [&](auto type) {
    using T = decltype(type);
    for (const DistillHead& head : heads) {
      const std::vector<T> ratios(head.wh_ratios.begin(), head.wh_ratios.end());
      DistillArgs<T> args{};
      args.student = head.student.data<T>();
      args.teacher = head.teacher.data<T>();
      args.grad = head.grad.defined() ? head.grad.data<T>() : nullptr;
      args.boxes = head.num_boxes();
      args.classes = head.dims.classes();
      args.anchors = head.dims.anchors;
      args.wh_ratios = ratios.empty() ? nullptr : ratios.data();
      args.class_term = head.class_term;
      args.objectness_term = head.objectness_term;
      args.temperature = T(head.temperature);
      args.box_scale = T(head.box_factor / objects);
      args.obj_scale = T(head.obj_factor);
      args.cls_scale = T(head.cls_factor / objects);
      args.objectness = head.objectness.defined() ? head.objectness.data<T>() : nullptr;
      args.known = head.known_classes.empty() ? nullptr : head.known_classes.data();
      args.num_known = int64_t(head.known_classes.size());
      const DistillSums of_head = run_head(args);
      sums.box += head.box_factor / objects * of_head.box;
      sums.obj += head.obj_factor * of_head.obj;
      sums.cls += head.cls_factor / objects * of_head.cls;
    }
  });
  terms.copy_from(Tensor::of<double>({3}, {sums.box, sums.obj, sums.cls}));
  total.fill(sums.box + sums.obj + sums.cls);
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
                 const DistillOptions& options, Tensor& terms) {
  check_options(options);
  std::vector<Tensor> logits;
  for (const Var& head : student_heads) logits.push_back(head.defined() ? head.value() : Tensor());
  const std::vector<HeadDims> dims = check_heads("distill_loss", logits, student_anchors);
  check_teacher(logits, teacher_heads, student_anchors, teacher_anchors);
  check_loss_dtype("distill_loss", logits[0]);
  check_known_classes(options.known_classes, dims[0].classes());
  const bool rescale = !same_anchors(student_anchors, teacher_anchors);
  const double pictures = double(dims[0].pictures);
  const Device device = logits[0].device();

  std::vector<DistillHead> heads;
  std::vector<Tensor> grads;
  for (size_t k = 0; k < logits.size(); ++k) {
    DistillHead head;
    head.student = logits[k];
    head.teacher = teacher_heads[k];
    if (is_recording({&student_heads[k]})) {
      head.grad = Tensor::empty(logits[k].shape(), logits[k].dtype(), device);
    }
    if (options.fm_nms) head.objectness = feature_map_nms(head.teacher);
    head.dims = dims[k];
    head.class_term = class_term_of(options.kind, dims[k].classes());
    head.objectness_term = objectness_term_of(options);
    head.known_classes = options.known_classes;
    head.temperature = options.temperature;
    if (rescale) head.wh_ratios = ratios_of(student_anchors, teacher_anchors, k);
    // With rescaling, the box term is two means over two channels each.
    const double boxes = double(head.num_boxes());
    head.per_object = options.mean == DistillMean::kObjects;
    const double counted = head.per_object ? 1 : boxes;
    head.box_factor = pictures * options.gains.box / (counted * (rescale ? 2 : 4));
    head.obj_factor = pictures * options.gains.obj / boxes;
    head.cls_factor = pictures * options.gains.cls / (counted * double(dims[k].classes()));
    grads.push_back(head.grad);
    if (head.num_boxes() > 0) heads.push_back(std::move(head));
  }
  terms = Tensor::empty({3}, DType::kFloat64, device);
  const Tensor total = Tensor::empty(Shape{}, logits[0].dtype(), device);
  YD_BACKEND(device, loss_on_cpu(heads, terms, total), cuda::distill_loss(heads, terms, total));
  return record(kDistillLoss, total, student_heads,
                [grads](const Tensor& grad_out) { return scaled_grads(grads, grad_out); });
}

Var distill_loss(const std::vector<Var>& student_heads, const std::vector<Tensor>& teacher_heads,
                 const Anchors& student_anchors, const Anchors& teacher_anchors,
                 const DistillOptions& options, DistillTerms* terms) {
  Tensor sums;
  const Var total =
      distill_loss(student_heads, teacher_heads, student_anchors, teacher_anchors, options, sums);
  if (terms != nullptr) {
    const Tensor read = sums.to(Device::cpu());
    *terms = {read.at(0), read.at(1), read.at(2)};
  }
  return total;
}

}  // namespace ydistill
