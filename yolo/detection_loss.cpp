// SPDX-License-Identifier: MIT
#include <ydistill/yolo/detection_loss.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/detection_loss_kernels.h>
#include <ydistill/yolo/detection_loss_math.h>
#include <ydistill/yolo/scaled_grads.h>
#include <ydistill/yolo/target_assignment.h>

namespace ydistill {
namespace {

const Op kDetectionLoss("detection_loss");

constexpr int64_t kBoxesPerChunk = 2048;

std::vector<double> balance_of(const std::vector<double>& wanted, size_t num_heads) {
  std::vector<double> balance = wanted;
  if (balance.empty()) {
    balance = {4.0, 1.0, 0.25, 0.06, 0.02};
    if (num_heads == 3) balance = {4.0, 1.0, 0.4};
    if (num_heads < balance.size()) balance.resize(num_heads);
  }
  if (balance.size() != num_heads) {
    throw ValueError("detection_loss: balance has {} entries, there are {} heads", balance.size(),
                     num_heads);
  }
  return balance;
}

void check_options(const DetectionLossOptions& o, int64_t pictures) {
  const auto at_least = [](const char* name, double value, double low) {
    if (!(value >= low) || !std::isfinite(value)) {
      throw ValueError("detection_loss: {} is {}, must be at least {}", name, value, low);
    }
  };
  at_least("gains.box", o.gains.box, 0);
  at_least("gains.obj", o.gains.obj, 0);
  at_least("gains.cls", o.gains.cls, 0);
  at_least("cls_pw", o.cls_pw, 0);
  at_least("obj_pw", o.obj_pw, 0);
  at_least("fl_gamma", o.fl_gamma, 0);
  at_least("label_smoothing", o.label_smoothing, 0);
  if (!(o.label_smoothing < 1)) {
    throw ValueError("detection_loss: label_smoothing is {}, must be below 1", o.label_smoothing);
  }
  if (!o.labelled.empty() && int64_t(o.labelled.size()) != pictures) {
    throw ValueError("detection_loss: {} flags in labelled, the batch has {} pictures",
                     o.labelled.size(), pictures);
  }
}

bool is_labelled(const DetectionLossOptions& options, int64_t picture) {
  return options.labelled.empty() || options.labelled[size_t(picture)] != 0;
}

/// The loss of one head. Factors: what the mean of a term is multiplied with in the total.
template <class T>
struct HeadLoss {
  const HeadDims& dims;
  const DetectionLossOptions& options;
  int64_t pictures;  // labelled ones
  const T* logits;
  T* grad;  // or null

  double box_mean = 0, obj_mean = 0, cls_mean = 0;

  int64_t offset(const Match& m) const {
    return ((m.picture * dims.rows + m.row) * dims.columns + m.column) * dims.anchors + m.anchor;
  }

  /// Objectness over all boxes; writes the whole gradient, zero but for the objectness.
  void run_objectness(const T* targets, double factor) {
    const int64_t cells = dims.cells();
    const int64_t chunks = (cells + kBoxesPerChunk - 1) / kBoxesPerChunk;
    const double boxes = double(cells) * double(pictures);
    std::vector<double> sums(size_t(dims.pictures * chunks), 0.0);
    parallel_for(dims.pictures * chunks, 1, [&](int64_t i) {
      const int64_t picture = i / chunks, first = (i % chunks) * kBoxesPerChunk;
      const int64_t box = picture * cells + first;
      ObjectnessArgs<T> args;
      args.boxes = std::min(kBoxesPerChunk, cells - first);
      args.width = dims.width;
      args.logits = logits + box * dims.width;
      args.targets = targets + box;
      args.grad = grad == nullptr ? nullptr : grad + box * dims.width;
      args.bce = {T(options.obj_pw), T(options.fl_gamma), T(factor / boxes)};
      if (!is_labelled(options, picture)) {
        if (grad != nullptr) {
          std::memset(args.grad, 0, size_t(args.boxes * args.width) * sizeof(T));
        }
        return;
      }
      if constexpr (std::is_same_v<T, float>) {
        sums[size_t(i)] = detection_loss_kernels().objectness_f32(args);
      } else {
        sums[size_t(i)] = detection_loss_kernels().objectness_f64(args);
      }
    });
    for (const double sum : sums) obj_mean += sum;
    obj_mean = boxes > 0 ? obj_mean / boxes : 0;
  }

  /// CIoU of every match. The gradients are kept until run_objectness has cleared the buffer.
  std::vector<BoxCIoU<T>> run_boxes(const std::vector<Match>& matches, T* objectness_targets) {
    std::vector<BoxCIoU<T>> results(matches.size());
    for (size_t i = 0; i < matches.size(); ++i) {
      const Match& m = matches[i];
      results[i] = box_ciou(logits + offset(m) * dims.width, T(m.anchor_w), T(m.anchor_h), T(m.x),
                            T(m.y), T(m.w), T(m.h));
      box_mean += 1.0 - double(results[i].value);
      objectness_targets[offset(m)] = results[i].value > T(0) ? results[i].value : T(0);
    }
    if (!matches.empty()) box_mean /= double(matches.size());
    return results;
  }

  void add_box_grads(const std::vector<Match>& matches, const std::vector<BoxCIoU<T>>& results,
                     double factor) {
    if (grad == nullptr) return;
    for (size_t i = 0; i < matches.size(); ++i) {
      T* g = grad + offset(matches[i]) * dims.width;
      const T scale = T(-factor / double(matches.size()));
      for (int c = 0; c < 4; ++c) g[c] += scale * results[i].grad[c];
    }
  }

  void run_classes(const std::vector<Match>& matches, double factor) {
    if (dims.classes() == 1 || matches.empty()) return;
    const double count = double(matches.size()) * double(dims.classes());
    ClassArgs<T> args;
    args.classes = dims.classes();
    args.positive = T(1 - options.label_smoothing / 2);
    args.negative = T(options.label_smoothing / 2);
    args.bce = {T(options.cls_pw), T(options.fl_gamma), T(factor / count)};
    for (const Match& m : matches) {
      const int64_t at = offset(m) * dims.width + 5;
      args.logits = logits + at;
      args.grad = grad == nullptr ? nullptr : grad + at;
      args.class_id = m.class_id;
      if constexpr (std::is_same_v<T, float>) {
        cls_mean += detection_loss_kernels().classes_f32(args);
      } else {
        cls_mean += detection_loss_kernels().classes_f64(args);
      }
    }
    cls_mean /= count;
  }
};

}  // namespace

LossGains scaled_gains(const LossGains& base, int64_t num_classes, int64_t num_heads,
                       int64_t image_size) {
  if (num_classes < 1 || num_heads < 1 || image_size < 1) {
    throw ValueError("scaled_gains: {} classes, {} heads, image size {}; each must be at least 1",
                     num_classes, num_heads, image_size);
  }
  const double by_heads = 3.0 / double(num_heads), by_size = double(image_size) / 640.0;
  return {base.box * by_heads, base.obj * by_size * by_size * by_heads,
          base.cls * double(num_classes) / 80.0 * by_heads};
}

Var detection_loss(const std::vector<Var>& heads, const Tensor& targets, const Anchors& anchors,
                   const DetectionLossOptions& options, DetectionLossItems* items) {
  std::vector<Tensor> logits;
  for (const Var& head : heads) logits.push_back(head.defined() ? head.value() : Tensor());
  const std::vector<HeadDims> dims = check_heads("detection_loss", logits, anchors);
  const int64_t batch = dims[0].pictures;
  check_options(options, batch);
  const std::vector<double> balance = balance_of(options.balance, heads.size());
  const auto matches = assign_targets(targets, dims, anchors, options.anchor_t);
  for (int64_t row = 0; row < targets.size(0); ++row) {
    const int64_t picture = int64_t(targets.data<float>()[row * 6]);
    if (!is_labelled(options, picture)) {
      throw ValueError("detection_loss: target {} belongs to picture {}, which is not labelled",
                       row, picture);
    }
  }
  int64_t pictures = 0;
  for (int64_t i = 0; i < batch; ++i) pictures += is_labelled(options, i) ? 1 : 0;

  DetectionLossItems sums;
  std::vector<Tensor> grads(heads.size());
  const LossGains& gains = options.gains;
  dispatch_float(logits[0].dtype(), "detection_loss", [&](auto type) {
    using T = decltype(type);
    for (size_t k = 0; k < heads.size(); ++k) {
      T* grad = nullptr;
      if (is_recording({&heads[k]})) {
        grads[k] = Tensor::empty(logits[k].shape(), logits[k].dtype());
        grad = grads[k].data<T>();
      }
      HeadLoss<T> head{dims[k], options, pictures, logits[k].data<T>(), grad};
      const Tensor objectness_targets = Tensor::zeros({batch * dims[k].cells()}, logits[k].dtype());
      const auto boxes = head.run_boxes(matches[k], objectness_targets.data<T>());
      head.run_objectness(objectness_targets.data<T>(), double(pictures) * gains.obj * balance[k]);
      head.add_box_grads(matches[k], boxes, double(pictures) * gains.box);
      head.run_classes(matches[k], double(pictures) * gains.cls);
      sums.box += gains.box * head.box_mean;
      sums.obj += gains.obj * balance[k] * head.obj_mean;
      sums.cls += gains.cls * head.cls_mean;
    }
  });
  if (items != nullptr) *items = sums;

  const Tensor total =
      Tensor::full(Shape{}, (sums.box + sums.obj + sums.cls) * double(pictures), logits[0].dtype());
  return record(kDetectionLoss, total, heads,
                [grads](const Tensor& grad_out) { return scaled_grads(grads, grad_out.item()); });
}

}  // namespace ydistill
