// SPDX-License-Identifier: MIT
// Boxes are processed in blocks: their logits are gathered into a short array, so that the formula
// runs over contiguous numbers for any width of a box.
#include <ydistill/yolo/detection_loss_kernels.h>
#include <ydistill/yolo/detection_loss_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kBlock = 256;

/// loss and grad of formula(logit, target) over a block.
template <class T, class Formula>
void block_of(const T* logits, const T* targets, T scale, int64_t n, T* loss, T* grad,
              Formula formula) {
  for (int64_t i = 0; i < n; ++i) {
    const LossAndGrad<T> r = formula(logits[i], targets[i]);
    loss[i] = r.loss;
    grad[i] = scale * r.grad;
  }
}

template <class T>
void bce_block(const T* logits, const T* targets, const BceOptions<T>& options, int64_t n, T* loss,
               T* grad) {
  const T pos_weight = options.pos_weight, gamma = options.focal_gamma;
  const auto run = [&](auto formula) {
    block_of(logits, targets, options.grad_scale, n, loss, grad, formula);
  };
  const auto focal = [&](auto power) {
    run([=](T x, T target) { return focal_and_grad(x, target, pos_weight, gamma, power); });
  };
  if (!(gamma > T(0))) {
    run([=](T x, T target) { return bce_and_grad(x, target, pos_weight); });
  } else if (gamma == T(1.5)) {
    focal(RootPower<T>{});
  } else if (gamma == T(2)) {
    focal(FirstPower<T>{});
  } else {
    focal(AnyPower<T>{gamma - T(1)});
  }
}

template <class T>
double sum_block(const T* values, int64_t n) {
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int lane = 0; lane < 8; ++lane) lanes[lane] += double(values[i + lane]);
  }
  for (; i < n; ++i) lanes[0] += double(values[i]);
  double sum = 0;
  for (int lane = 0; lane < 8; ++lane) sum += lanes[lane];
  return sum;
}

template <class T>
double objectness(const ObjectnessArgs<T>& a) {
  T logits[kBlock], loss[kBlock], grad[kBlock];
  double sum = 0;
  for (int64_t first = 0; first < a.boxes; first += kBlock) {
    const int64_t n = a.boxes - first < kBlock ? a.boxes - first : kBlock;
    for (int64_t i = 0; i < n; ++i) logits[i] = a.logits[(first + i) * a.width + 4];
    bce_block(logits, a.targets + first, a.bce, n, loss, grad);
    sum += sum_block(loss, n);
    if (a.grad == nullptr) continue;
    T* out = a.grad + first * a.width;
    for (int64_t i = 0; i < n * a.width; ++i) out[i] = T(0);
    for (int64_t i = 0; i < n; ++i) out[i * a.width + 4] = grad[i];
  }
  return sum;
}

template <class T>
double classes(const ClassArgs<T>& a) {
  T targets[kBlock], loss[kBlock], grad[kBlock];
  double sum = 0;
  for (int64_t first = 0; first < a.classes; first += kBlock) {
    const int64_t n = a.classes - first < kBlock ? a.classes - first : kBlock;
    for (int64_t i = 0; i < n; ++i) {
      targets[i] = first + i == a.class_id ? a.positive : a.negative;
    }
    bce_block(a.logits + first, targets, a.bce, n, loss, grad);
    sum += sum_block(loss, n);
    if (a.grad == nullptr) continue;
    for (int64_t i = 0; i < n; ++i) a.grad[first + i] += grad[i];
  }
  return sum;
}

}  // namespace

const DetectionLossKernels& detection_loss_kernels() {
  static const DetectionLossKernels kernels{objectness<float>, objectness<double>, classes<float>,
                                            classes<double>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
