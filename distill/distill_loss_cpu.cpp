// SPDX-License-Identifier: MIT
// One pass over student and teacher; a box is a row of 5 + classes numbers. A sum over classes is
// kept as 16 partial sums, so that it vectorises and its order never changes.
#include <ydistill/distill/distill_loss_kernels.h>

#include <vector>

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

/// Sum over the classes of formula(s, t); writes scale times its derivatives.
template <class T, class Formula>
T elementwise(const T* s, const T* t, T* grad, int64_t classes, T scale, Formula formula) {
  if (grad != nullptr) {
    for (int64_t i = 0; i < classes; ++i) grad[i] = scale * formula(s[i], t[i]).grad;
  }
  return sum_of<T>(classes, [=](int64_t i) { return formula(s[i], t[i]).loss; });
}

/// The exponentials of up to kMost classes.
template <class T>
struct Exponentials {
  static constexpr int64_t kMost = 512;
  T of_s[kMost], of_t[kMost];

  void take(const SoftmaxDivergence<T>& kl, const T* s, const T* t, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      of_s[i] = kl.e_s(s[i]);
      of_t[i] = kl.e_t(t[i]);
    }
  }
};

/// Computes each exponential once, or twice if there are more classes than kMost.
template <class T>
T softmax_divergence(const T* s, const T* t, T* grad, int64_t classes, T scale, T temperature) {
  const SoftmaxDivergence<T> kl{T(1) / temperature, largest(s, classes), largest(t, classes)};
  constexpr int64_t kMost = Exponentials<T>::kMost;
  Exponentials<T> e;
  T sum_s = T(0), sum_t = T(0), distance = T(0);
  for (int64_t first = 0; first < classes; first += kMost) {
    const int64_t n = classes - first < kMost ? classes - first : kMost;
    e.take(kl, s + first, t + first, n);
    sum_s += sum_of<T>(n, [&](int64_t i) { return e.of_s[i]; });
    sum_t += sum_of<T>(n, [&](int64_t i) { return e.of_t[i]; });
    distance +=
        sum_of<T>(n, [&](int64_t i) { return kl.distance(e.of_t[i], s[first + i], t[first + i]); });
  }
  if (grad != nullptr) {
    const T ratio = sum_s / sum_t, factor = scale * temperature * (T(1) / sum_s);
    for (int64_t first = 0; first < classes; first += kMost) {
      const int64_t n = classes - first < kMost ? classes - first : kMost;
      if (classes > kMost) e.take(kl, s + first, t + first, n);
      T* out = grad + first;
      for (int64_t i = 0; i < n; ++i) out[i] = kl.grad(e.of_s[i], e.of_t[i], ratio, factor);
    }
  }
  return kl.value(sum_s, sum_t, distance, temperature);
}

template <class T>
T classes_of(const DistillArgs<T>& a, int64_t classes, const T* s, const T* t, T* grad, T scale) {
  switch (a.class_term) {
    case DistillClassTerm::kL2:
      return elementwise(s, t, grad, classes, scale,
                         [](T x, T y) { return squared_distance(x, y); });
    case DistillClassTerm::kKl:
      return softmax_divergence(s, t, grad, classes, scale, a.temperature);
    case DistillClassTerm::kBce:
      return elementwise(s, t, grad, classes, scale,
                         [](T x, T y) { return sigmoid_cross_entropy(x, y); });
    case DistillClassTerm::kNone:
      break;
  }
  if (grad != nullptr) {
    for (int64_t i = 0; i < classes; ++i) grad[i] = T(0);
  }
  return T(0);
}

/// Sum of formula(student, teacher, i) over the four box channels; writes scale times its
/// derivatives.
template <class T, class Formula>
T channels(const T* s, const T* t, T* grad, T scale, Formula formula) {
  T sum = T(0);
  for (int i = 0; i < 4; ++i) {
    const DistillValue<T> value = formula(s[i], t[i], i);
    sum += value.loss;
    if (grad != nullptr) grad[i] = scale * value.grad;
  }
  return sum;
}

/// wh_ratios: of this box's anchor, or null.
template <class T>
T box_of(const T* s, const T* t, T* grad, T scale, const T* wh_ratios) {
  if (wh_ratios == nullptr) {
    return channels(s, t, grad, scale, [](T x, T y, int) { return squared_distance(x, y); });
  }
  const T ratios[4] = {T(1), T(1), wh_ratios[0], wh_ratios[1]};
  return channels(s, t, grad, scale,
                  [&](T x, T y, int i) { return squared_sigmoid_distance(x, y, ratios[i]); });
}

/// The class channels of a box that count, copied next to each other.
template <class T>
class KnownClasses {
 public:
  explicit KnownClasses(const DistillArgs<T>& args)
      : a_(args), s_(size_t(args.num_known)), t_(s_), grad_(s_) {}

  void gather(const T* s, const T* t) {
    for (size_t i = 0; i < s_.size(); ++i) {
      s_[i] = s[a_.known[i]];
      t_[i] = t[a_.known[i]];
    }
  }
  /// Unknown classes get a gradient of 0.
  void scatter(T* grad) const {
    for (int64_t c = 0; c < a_.classes; ++c) grad[c] = T(0);
    for (size_t i = 0; i < s_.size(); ++i) grad[a_.known[i]] = grad_[i];
  }
  const T* student() const { return s_.data(); }
  const T* teacher() const { return t_.data(); }
  T* grad() { return grad_.data(); }

 private:
  const DistillArgs<T>& a_;
  std::vector<T> s_, t_, grad_;
};

template <class T>
DistillSums distill(const DistillArgs<T>& a) {
  DistillSums sums{0, 0, 0};
  const bool all_known = a.known == nullptr;
  const int64_t num_classes = all_known ? a.classes : a.num_known;
  KnownClasses<T> known(a);
  const int64_t width = 5 + a.classes;
  int64_t anchor = 0;
  for (int64_t box = 0; box < a.boxes; ++box) {
    const T* s = a.student + box * width;
    const T* t = a.teacher + box * width;
    T* grad = a.grad == nullptr ? nullptr : a.grad + box * width;
    T* class_grad = grad == nullptr ? nullptr : grad + 5;
    const T* ratios = a.wh_ratios == nullptr ? nullptr : a.wh_ratios + 2 * anchor;
    const T sureness = a.objectness == nullptr ? t[4] : a.objectness[box];
    const T weight = sigmoid(sureness);

    const DistillValue<T> objectness =
        objectness_distance(s[4], sureness, weight, a.objectness_term);
    if (grad != nullptr) grad[4] = a.obj_scale * objectness.grad;
    const T boxes = box_of(s, t, grad, a.box_scale * weight, ratios);
    if (!all_known) known.gather(s + 5, t + 5);
    T* const known_grad = all_known || grad == nullptr ? class_grad : known.grad();
    const T classes =
        classes_of(a, num_classes, all_known ? s + 5 : known.student(),
                   all_known ? t + 5 : known.teacher(), known_grad, a.cls_scale * weight);
    if (!all_known && grad != nullptr) known.scatter(class_grad);
    sums.box += double(weight) * double(boxes);
    sums.obj += double(objectness.loss);
    sums.cls += double(weight) * double(classes);
    if (++anchor == a.anchors) anchor = 0;
  }
  return sums;
}

template <class T>
double sum_sigmoids(const T* logits, int64_t step, int64_t count) {
  return double(sum_of<T>(count, [=](int64_t i) { return sigmoid(logits[i * step]); }));
}

}  // namespace

const DistillKernels& distill_kernels() {
  static const DistillKernels kernels{sum_sigmoids<float>, sum_sigmoids<double>, distill<float>,
                                      distill<double>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
