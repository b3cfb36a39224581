// SPDX-License-Identifier: MIT
// One pass over student and teacher; a box is a row of 5 + classes numbers. Sums over classes keep
// 16 partial sums, so that they vectorise without changing their order from run to run.
#include <ydistill/distill/distill_loss_kernels.h>
#include <ydistill/distill/distill_loss_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int kLanes = 16;

/// Sum of f(i) for i in [0, n).
template <class T, class F>
T sum_of(int64_t n, F f) {
  T lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += f(i + lane);
  }
  for (int lane = 0; i < n; ++i, ++lane) lanes[lane] += f(i);
  T sum = T(0);
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

template <class T>
T largest(const T* values, int64_t n) {
  T lanes[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = values[0];
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
    }
  }
  T best = lanes[0];
  for (int lane = 1; lane < kLanes; ++lane) best = lanes[lane] > best ? lanes[lane] : best;
  for (; i < n; ++i) best = values[i] > best ? values[i] : best;
  return best;
}

/// Sum over the classes of formula(s, t); adds weight scale times its derivative.
template <class T, class Formula>
T elementwise(const T* s, const T* t, T* grad, int64_t classes, T scale, Formula formula) {
  if (grad != nullptr) {
    for (int64_t i = 0; i < classes; ++i) grad[i] = scale * formula(s[i], t[i]).grad;
  }
  return sum_of<T>(classes, [=](int64_t i) { return formula(s[i], t[i]).loss; });
}

/// T^2 KL(q, p), q = softmax(t / T), p = softmax(s / T):
///   with d = (t - s) / T, KL = sum q d - (log sum e^(t/T) - log sum e^(s/T)), which is exactly
///   zero for equal logits; derivative by s is T (p - q). Both softmaxes subtract their largest
///   logit.
template <class T>
T softmax_divergence(const T* s, const T* t, T* grad, int64_t classes, T scale, T temperature) {
  const T inverse = T(1) / temperature;
  const T top_s = largest(s, classes), top_t = largest(t, classes);
  const T sum_s = sum_of<T>(classes, [=](int64_t i) { return exp_fast((s[i] - top_s) * inverse); });
  const T sum_t = sum_of<T>(classes, [=](int64_t i) { return exp_fast((t[i] - top_t) * inverse); });
  const T norm_s = T(1) / sum_s, norm_t = T(1) / sum_t;
  if (grad != nullptr) {
    // p - q = (e_s - e_t sum_s / sum_t) / sum_s: exactly zero for equal logits, also where the
    // compiler fuses the multiplication and the subtraction.
    const T ratio = sum_s / sum_t, factor = scale * temperature * norm_s;
    for (int64_t i = 0; i < classes; ++i) {
      const T e_s = exp_fast((s[i] - top_s) * inverse), e_t = exp_fast((t[i] - top_t) * inverse);
      grad[i] = factor * (e_s - e_t * ratio);
    }
  }
  const T mean_distance =
      norm_t * sum_of<T>(classes, [=](int64_t i) {
        return exp_fast((t[i] - top_t) * inverse) * ((t[i] - top_t) - (s[i] - top_s));
      });
  const T divergence = mean_distance * inverse - T(std::log(double(sum_t) / double(sum_s)));
  return temperature * temperature * divergence;
}

template <class T>
T classes_of(const DistillArgs<T>& a, const T* s, const T* t, T* grad, T scale) {
  switch (a.class_term) {
    case DistillClassTerm::kL2:
      return elementwise(s, t, grad, a.classes, scale,
                         [](T x, T y) { return squared_distance(x, y); });
    case DistillClassTerm::kKl:
      return softmax_divergence(s, t, grad, a.classes, scale, a.temperature);
    case DistillClassTerm::kBce:
      return elementwise(s, t, grad, a.classes, scale,
                         [](T x, T y) { return sigmoid_cross_entropy(x, y); });
    case DistillClassTerm::kNone:
      break;
  }
  if (grad != nullptr) {
    for (int64_t i = 0; i < a.classes; ++i) grad[i] = T(0);
  }
  return T(0);
}

template <class T>
DistillSums distill(const DistillArgs<T>& a) {
  DistillSums sums{0, 0, 0};
  int64_t anchor = 0;
  for (int64_t box = 0; box < a.boxes; ++box) {
    const T* s = a.student + box * (5 + a.classes);
    const T* t = a.teacher + box * (5 + a.classes);
    T* grad = a.grad == nullptr ? nullptr : a.grad + box * (5 + a.classes);
    const T weight = sigmoid(t[4]);

    DistillValue<T> values[5];
    for (int i = 0; i < 4; ++i) {
      if (a.wh_ratios == nullptr) {
        values[i] = squared_distance(s[i], t[i]);
      } else {
        const T ratio = i < 2 ? T(1) : a.wh_ratios[anchor * 2 + i - 2];
        values[i] = squared_sigmoid_distance(s[i], t[i], ratio);
      }
    }
    values[4] = squared_distance(s[4], t[4]);
    if (grad != nullptr) {
      for (int i = 0; i < 4; ++i) grad[i] = a.box_scale * weight * values[i].grad;
      grad[4] = a.obj_scale * weight * values[4].grad;
    }
    sums.box +=
        double(weight) * double(values[0].loss + values[1].loss + values[2].loss + values[3].loss);
    sums.obj += double(weight) * double(values[4].loss);
    T* class_grad = grad == nullptr ? nullptr : grad + 5;
    sums.cls +=
        double(weight) * double(classes_of(a, s + 5, t + 5, class_grad, a.cls_scale * weight));
    if (++anchor == a.anchors) anchor = 0;
  }
  return sums;
}

}  // namespace

const DistillKernels& distill_kernels() {
  static const DistillKernels kernels{distill<float>, distill<double>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
