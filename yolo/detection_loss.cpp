// SPDX-License-Identifier: MIT
#include <ydistill/yolo/detection_loss.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/detection_loss_cuda.h>
#include <ydistill/yolo/detection_loss_kernels.h>
#include <ydistill/yolo/detection_loss_math.h>
#include <ydistill/yolo/scaled_grads.h>
#include <ydistill/yolo/target_assignment_math.h>

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
  if (!(o.anchor_t > 1)) {
    throw ValueError("detection_loss: anchor_t is {}, must be > 1", o.anchor_t);
  }
  if (!o.labelled.defined()) return;
  if (o.labelled.dtype() != DType::kUInt8) {
    throw DTypeError("detection_loss: labelled is {}, must be uint8", o.labelled.str());
  }
  if (o.labelled.numel() != pictures) {
    throw ValueError("detection_loss: {} flags in labelled, the batch has {} pictures",
                     o.labelled.numel(), pictures);
  }
}

void check_device(const char* name, const Tensor& t, Device heads) {
  if (t.defined() && t.device() != heads) {
    throw DeviceError("detection_loss: the heads are on {}, {} on {}", heads.str(), name,
                      t.device().str());
  }
}

bool is_labelled(const DetectionLossOptions& options, int64_t picture) {
  return !options.labelled.defined() || options.labelled.data<uint8_t>()[picture] != 0;
}

/// The loss of one head. factor: what the mean of a term is multiplied by in the total.
template <class T>
struct HeadLoss {
  const HeadDims& dims;
  const DetectionLossOptions& options;
  int64_t pictures;  // labelled ones
  const T* logits;
  T* grad;  // or null

  double box_mean = 0, obj_mean = 0, cls_mean = 0;

  /// Objectness over all boxes; writes the whole gradient, zero except for the objectness.
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

  /// CIoU of every match. The gradients are returned, because run_objectness clears the buffer
  /// first.
  std::vector<BoxCIoU<T>> run_boxes(const std::vector<Match>& matches, T* objectness_targets) {
    std::vector<BoxCIoU<T>> results(matches.size());
    for (size_t i = 0; i < matches.size(); ++i) {
      const Match& m = matches[i];
      results[i] = box_ciou(logits + box_of(m, dims) * dims.width, T(m.anchor_w), T(m.anchor_h),
                            T(m.x), T(m.y), T(m.w), T(m.h));
      box_mean += 1.0 - double(results[i].value);
      objectness_targets[box_of(m, dims)] = results[i].value > T(0) ? results[i].value : T(0);
    }
    if (!matches.empty()) box_mean /= double(matches.size());
    return results;
  }

  void add_box_grads(const std::vector<Match>& matches, const std::vector<BoxCIoU<T>>& results,
                     double factor) {
    if (grad == nullptr) return;
    for (size_t i = 0; i < matches.size(); ++i) {
      T* g = grad + box_of(matches[i], dims) * dims.width;
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
      const int64_t at = box_of(m, dims) * dims.width + 5;
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

void loss_on_cpu(const std::vector<Tensor>& logits, const std::vector<HeadDims>& dims,
                 const Tensor& targets, const Anchors& anchors, const DetectionLossOptions& options,
                 const std::vector<double>& balance, const std::vector<Tensor>& grads,
                 const Tensor& terms, const Tensor& total) {
  const int64_t batch = dims[0].pictures;
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
  const LossGains& gains = options.gains;
  dispatch_float(logits[0].dtype(), "detection_loss", [&](auto type) {
    using T = decltype(type);
    for (size_t k = 0; k < logits.size(); ++k) {
      T* const grad = grads[k].defined() ? grads[k].data<T>() : nullptr;
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
  terms.copy_from(Tensor::of<double>({3}, {sums.box, sums.obj, sums.cls}));
  total.fill((sums.box + sums.obj + sums.cls) * double(pictures));
}

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
                   const DetectionLossOptions& options, Tensor& terms) {
  std::vector<Tensor> logits;
  for (const Var& head : heads) logits.push_back(head.defined() ? head.value() : Tensor());
  const std::vector<HeadDims> dims = check_heads("detection_loss", logits, anchors);
  check_options(options, dims[0].pictures);
  const std::vector<double> balance = balance_of(options.balance, heads.size());
  const Device device = logits[0].device();
  check_loss_dtype("detection_loss", logits[0]);
  check_target_shape("detection_loss", targets);
  check_device("targets", targets, device);
  check_device("labelled", options.labelled, device);

  std::vector<Tensor> grads(heads.size());
  for (size_t k = 0; k < heads.size(); ++k) {
    if (!is_recording({&heads[k]})) continue;
    grads[k] = Tensor::empty(logits[k].shape(), logits[k].dtype(), device);
  }
  terms = Tensor::empty({3}, DType::kFloat64, device);
  const Tensor total = Tensor::empty(Shape{}, logits[0].dtype(), device);
  YD_BACKEND(
      device, loss_on_cpu(logits, dims, targets, anchors, options, balance, grads, terms, total),
      cuda::detection_loss(logits, dims, targets, anchors, options, balance, grads, terms, total));
  return record(kDetectionLoss, total, heads,
                [grads](const Tensor& grad_out) { return scaled_grads(grads, grad_out); });
}

Var detection_loss(const std::vector<Var>& heads, const Tensor& targets, const Anchors& anchors,
                   const DetectionLossOptions& options, DetectionLossItems* items) {
  Tensor terms;
  const Var total = detection_loss(heads, targets, anchors, options, terms);
  if (items != nullptr) {
    const Tensor read = terms.to(Device::cpu());
    *items = {read.at(0), read.at(1), read.at(2)};
  }
  return total;
}

}  // namespace ydistill
