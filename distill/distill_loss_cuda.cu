// SPDX-License-Identifier: MIT
// One pass over student and teacher: a group of lanes of a warp reads a box, one lane per channel,
// so that neighbouring lanes read neighbouring numbers. The softmaxes loop over their channels
// three times; the last two loops hit the cache. A lane sums a few boxes in float, a block its
// lanes in double.
#include <ydistill/distill/distill_loss_heads.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include <ydistill/distill/distill_loss_math.h>
#include <ydistill/tensor/cuda/block_sums.h>

namespace ydistill::cuda {
namespace {

constexpr int64_t kMaxAnchors = 32;    // the ratios are passed as a kernel argument
constexpr int64_t kMaxClasses = 1024;  // where some are unknown, for the same reason
constexpr int kWarp = 32;
constexpr int kBoxesPerGroup = 8;
constexpr int kBoxesPerThread = 8;  // in sum_weights_kernel

enum Term { kBox, kObj, kCls, kNumTerms };

struct Ratios {
  float wh[kMaxAnchors][2];
};

/// Which classes count, passed as a kernel argument.
struct ClassMask {
  bool all;
  uint32_t bits[kMaxClasses / 32];
  __device__ bool has(int64_t c) const { return all || (bits[c / 32] >> (c % 32) & 1) != 0; }
};

/// Sum over a group's lanes, the same bits on each. All lanes of the warp must take part.
__device__ float group_sum(float value, int lanes) {
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}

__device__ float group_max(float value, int lanes) {
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, value, distance);
    value = other > value ? other : value;
  }
  return value;
}

/// The softmax divergence of one box, on lane 0 of its group; 0 on the others. s, t, grad: class
/// channels. classes is 0 for a group without a box; its lanes still take part in the shuffles.
__device__ float softmax_divergence(const float* s, const float* t, float* grad, int64_t classes,
                                    const ClassMask& known, float scale, float temperature,
                                    int lane, int lanes) {
  constexpr float kNothing = -std::numeric_limits<float>::max();
  SoftmaxDivergence<float> kl{1 / temperature, kNothing, kNothing};
  for (int64_t i = lane; i < classes; i += lanes) {
    if (!known.has(i)) continue;
    kl.top_s = s[i] > kl.top_s ? s[i] : kl.top_s;
    kl.top_t = t[i] > kl.top_t ? t[i] : kl.top_t;
  }
  kl.top_s = group_max(kl.top_s, lanes);
  kl.top_t = group_max(kl.top_t, lanes);
  float sum_s = 0, sum_t = 0, distance = 0;
  for (int64_t i = lane; i < classes; i += lanes) {
    if (!known.has(i)) continue;
    const float e_t = kl.e_t(t[i]);
    sum_s += kl.e_s(s[i]);
    sum_t += e_t;
    distance += kl.distance(e_t, s[i], t[i]);
  }
  sum_s = group_sum(sum_s, lanes);
  sum_t = group_sum(sum_t, lanes);
  distance = group_sum(distance, lanes);
  if (grad != nullptr) {
    const float ratio = sum_s / sum_t, factor = scale * temperature * (1 / sum_s);
    for (int64_t i = lane; i < classes; i += lanes) {
      grad[i] = known.has(i) ? kl.grad(kl.e_s(s[i]), kl.e_t(t[i]), ratio, factor) : 0;
    }
  }
  return lane == 0 && classes > 0 ? kl.value(sum_s, sum_t, distance, temperature) : 0;
}

/// Sums of the weights of a head's boxes, one row per block: logits [boxes], `step` numbers apart.
__global__ void __launch_bounds__(kThreads)
    sum_weights_kernel(const float* logits, int64_t step, int64_t boxes, double* partial) {
  double sum[1] = {0};
  const int64_t first = int64_t(blockIdx.x) * kThreads * kBoxesPerThread + threadIdx.x;
  for (int n = 0; n < kBoxesPerThread; ++n) {
    const int64_t box = first + int64_t(n) * kThreads;
    if (box < boxes) sum[0] += double(sigmoid(logits[box * step]));
  }
  write_block_sums(sum, partial + blockIdx.x);
}

/// Adds a head's weights to the total, which is then raised to at least `least`.
struct AddWeights {
  double* objects;
  double least;
  __device__ void operator()(const double* sums) const {
    const double sum = *objects + sums[0];
    *objects = sum < least ? least : sum;
  }
};

/// The divisor of the box and class terms.
__device__ double objects_of(const double* objects) {
  return objects == nullptr ? 1 : *objects;
}

/// The measure of one class channel, for the kinds that work channel by channel.
template <DistillClassTerm kTerm>
__device__ DistillValue<float> class_distance(float s, float t) {
  if constexpr (kTerm == DistillClassTerm::kL2) {
    return squared_distance(s, t);
  } else if constexpr (kTerm == DistillClassTerm::kBce) {
    return sigmoid_cross_entropy(s, t);
  } else {
    return {0, 0};
  }
}

/// Uses `ratios` (if rescale) and `known` in place of a.wh_ratios and a.known. lanes: a power of
/// two up to a warp. The block's sums go to its row of partial.
template <DistillClassTerm kTerm>
__global__ void __launch_bounds__(kThreads)
    distill_kernel(DistillArgs<float> a, bool rescale, Ratios ratios, ClassMask known, int lanes,
                   const double* objects, double* partial) {
  constexpr bool kSoftmax = kTerm == DistillClassTerm::kKl;
  const int lane = int(threadIdx.x) % lanes, group = int(threadIdx.x) / lanes;
  const int groups = kThreads / lanes;
  const int64_t first = int64_t(blockIdx.x) * groups * kBoxesPerGroup + group;
  const int64_t width = 5 + a.classes;
  const double count = objects_of(objects);
  const float box_scale = float(double(a.box_scale) / count);
  const float cls_scale = float(double(a.cls_scale) / count);
  float sums[kNumTerms] = {};
  for (int n = 0; n < kBoxesPerGroup; ++n) {
    const int64_t box = first + int64_t(n) * groups;
    const bool has_box = box < a.boxes;
    const float* const s = a.student + (has_box ? box : 0) * width;
    const float* const t = a.teacher + (has_box ? box : 0) * width;
    float* const grad = has_box && a.grad != nullptr ? a.grad + box * width : nullptr;
    const float sureness = a.objectness == nullptr ? t[4] : a.objectness[has_box ? box : 0];
    const float weight = sigmoid(sureness);
    // The softmax takes all class channels together, below.
    const int64_t end = !has_box ? 0 : kSoftmax ? 5 : width;
    for (int64_t c = lane; c < end; c += lanes) {
      float scale = weight * (c < 4 ? box_scale : cls_scale);
      DistillValue<float> value;
      if (c > 4) {
        value = known.has(c - 5) ? class_distance<kTerm>(s[c], t[c]) : DistillValue<float>{0, 0};
        sums[kCls] += weight * value.loss;
      } else if (c == 4) {
        value = objectness_distance(s[c], sureness, weight, a.objectness_term);
        scale = a.obj_scale;
        sums[kObj] += value.loss;
      } else {
        value = !rescale ? squared_distance(s[c], t[c])
                         : squared_sigmoid_distance(
                               s[c], t[c], c < 2 ? 1.0f : ratios.wh[box % a.anchors][c - 2]);
        sums[kBox] += weight * value.loss;
      }
      if (grad != nullptr) grad[c] = scale * value.grad;
    }
    if constexpr (kSoftmax) {
      sums[kCls] += weight * softmax_divergence(s + 5, t + 5, grad == nullptr ? grad : grad + 5,
                                                has_box ? a.classes : 0, known, cls_scale * weight,
                                                a.temperature, lane, lanes);
    }
  }
  double in_double[kNumTerms];
  for (int k = 0; k < kNumTerms; ++k) in_double[k] = double(sums[k]);
  write_block_sums(in_double, partial + int64_t(blockIdx.x) * kNumTerms);
}

/// Adds a head's sums to the terms and updates the total.
struct FinishHead {
  double box_factor, obj_factor, cls_factor;
  const double* objects;
  double* terms;
  float* total;
  __device__ void operator()(const double* sums) const {
    const double count = objects_of(objects);
    terms[kBox] += box_factor / count * sums[kBox];
    terms[kObj] += obj_factor * sums[kObj];
    terms[kCls] += cls_factor / count * sums[kCls];
    *total = float(terms[kBox] + terms[kObj] + terms[kCls]);
  }
};

auto kernel_of(DistillClassTerm term) {
  switch (term) {
    case DistillClassTerm::kL2:
      return distill_kernel<DistillClassTerm::kL2>;
    case DistillClassTerm::kKl:
      return distill_kernel<DistillClassTerm::kKl>;
    case DistillClassTerm::kBce:
      return distill_kernel<DistillClassTerm::kBce>;
    default:
      return distill_kernel<DistillClassTerm::kNone>;
  }
}

ClassMask known_of(const DistillHead& head) {
  ClassMask known{head.known_classes.empty(), {}};
  if (!known.all && head.dims.classes() > kMaxClasses) {
    throw ValueError("distill_loss: {} classes of which some are unknown, on a GPU at most {}",
                     head.dims.classes(), kMaxClasses);
  }
  for (const int64_t c : head.known_classes) known.bits[c / 32] |= 1u << (c % 32);
  return known;
}

/// The smallest power of two that covers a box, at most a warp.
int lanes_for(int64_t width) {
  int lanes = 1;
  while (lanes < kWarp && lanes < width) lanes *= 2;
  return lanes;
}

/// float64 [1], the sum of all heads' weights, at least the number of pictures; undefined where
/// nothing is divided by it.
Tensor count_objects(const std::vector<DistillHead>& heads, Device device) {
  if (heads.empty() || !heads[0].per_object) return {};
  const Tensor objects = Tensor::zeros({1}, DType::kFloat64, device);
  for (const DistillHead& head : heads) {
    const double least = &head == &heads.back() ? double(head.dims.pictures) : 0;
    const Tensor& own = head.objectness;
    const float* const logits =
        own.defined() ? own.device_data<float>() : head.teacher.device_data<float>() + 4;
    constexpr int64_t kPerBlock = int64_t(kThreads) * kBoxesPerThread;
    const int64_t blocks = (head.num_boxes() + kPerBlock - 1) / kPerBlock;
    const Tensor partial = Tensor::empty({blocks}, DType::kFloat64, device);
    launch(sum_weights_kernel, dim3(unsigned(blocks)), dim3(kThreads), logits,
           own.defined() ? int64_t(1) : head.dims.width, head.num_boxes(),
           partial.device_data<double>());
    finish_sums<1>(partial.device_data<double>(), blocks,
                   AddWeights{objects.device_data<double>(), least});
  }
  return objects;
}

}  // namespace

void distill_loss(const std::vector<DistillHead>& heads, const Tensor& terms, const Tensor& total) {
  terms.zero();
  total.zero();  // an empty batch has no heads
  const Tensor objects = count_objects(heads, terms.device());
  const double* const count = objects.defined() ? objects.device_data<double>() : nullptr;
  for (const DistillHead& head : heads) {
    if (head.dims.anchors > kMaxAnchors) {
      throw ValueError("distill_loss: {} anchors a cell, on a GPU at most {}", head.dims.anchors,
                       kMaxAnchors);
    }
    const auto data_or_null = [](const Tensor& t) {
      return t.defined() ? t.device_data<float>() : nullptr;
    };
    const DistillArgs<float> args{head.student.device_data<float>(),
                                  head.teacher.device_data<float>(),
                                  data_or_null(head.grad),
                                  head.num_boxes(),
                                  head.dims.classes(),
                                  head.dims.anchors,
                                  nullptr,
                                  head.class_term,
                                  head.objectness_term,
                                  float(head.temperature),
                                  float(head.box_factor),
                                  float(head.obj_factor),
                                  float(head.cls_factor),
                                  data_or_null(head.objectness),
                                  nullptr,
                                  0};
    Ratios ratios{};
    for (size_t i = 0; i < head.wh_ratios.size(); ++i) {
      ratios.wh[i / 2][i % 2] = float(head.wh_ratios[i]);
    }
    const int lanes = lanes_for(head.dims.width);
    const int64_t boxes_per_block = kThreads / lanes * kBoxesPerGroup;
    const int64_t blocks = (head.num_boxes() + boxes_per_block - 1) / boxes_per_block;
    const Tensor partial = Tensor::empty({blocks, kNumTerms}, DType::kFloat64, terms.device());
    if (blocks > 0) {
      launch(kernel_of(head.class_term), dim3(unsigned(blocks)), dim3(kThreads), args,
             !head.wh_ratios.empty(), ratios, known_of(head), lanes, count,
             partial.device_data<double>());
    }
    finish_sums<kNumTerms>(partial.device_data<double>(), blocks,
                           FinishHead{head.box_factor, head.obj_factor, head.cls_factor, count,
                                      terms.device_data<double>(), total.device_data<float>()});
  }
}

}  // namespace ydistill::cuda
