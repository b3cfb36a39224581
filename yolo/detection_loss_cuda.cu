// SPDX-License-Identifier: MIT
// A head has 5 A capacity slots: one for each neighbour, anchor and row of the targets, in the
// order in which the CPU lists its matches. Three kernels per head:
//
//   slots    one thread per slot: is it a match? Its CIoU; adds the slot to the list of its box
//   boxes    one thread per box: objectness against the CIoU of the last slot in the box's list
//   matches  one warp per slot: the last slot of a list adds the list's box and class gradients
//
// Lists are linked by atomic exchanges, so their order is arbitrary; they are short, and are read
// by rising slot number. No sum depends on the order in which blocks run. The gradient is cleared
// first and then written only where it is not zero.
#include <ydistill/yolo/detection_loss_cuda.h>

#include <limits>

#include <ydistill/tensor/cuda/block_sums.h>
#include <ydistill/tensor/math.h>
#include <ydistill/yolo/detection_loss_math.h>
#include <ydistill/yolo/target_assignment_math.h>

namespace ydistill::cuda {
namespace {

constexpr int64_t kMaxAnchors = 32;  // they are passed as a kernel argument
constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;

/// Box, objectness and class sums, as in the terms.
enum Term { kBox, kObj, kCls, kNumTerms };

struct AnchorSizes {
  double wh[kMaxAnchors][2];  // in cells
};

/// A match, and a link to the next match of its box.
struct Slot {
  int64_t box;   // of the head, in memory order; -1: no match
  int32_t next;  // number of a slot plus 1; 0: the end
  int32_t class_id;
  BoxCIoU<float> ciou;
};

/// Counts that stay on the GPU.
struct Counts {
  int32_t pictures;  // labelled ones
  int32_t matches;   // of the current head
};

struct Head {
  HeadDims dims;
  const float* logits;
  float* grad;              // or null
  const uint8_t* labelled;  // or null: all
  int32_t* first;           // a box's first slot plus 1; 0: none
  Slot* slots;
  int64_t num_slots;
  Counts* counts;

  __device__ bool has(int64_t picture) const {
    return picture >= 0 && picture < dims.pictures &&
           (labelled == nullptr || labelled[picture] != 0);
  }
};

/// Parameters of one BCE.
struct Bce {
  float pos_weight, gamma;
  __device__ LossAndGrad<float> operator()(float logit, float target) const {
    return gamma > 0 ? focal_and_grad(logit, target, pos_weight, gamma, AnyPower<float>{gamma - 1})
                     : bce_and_grad(logit, target, pos_weight);
  }
};

struct CountPictures {
  const uint8_t* labelled;  // or null
  int64_t pictures;
  Counts* counts;
  __device__ void operator()(int64_t) const {
    int32_t count = 0;
    for (int64_t i = 0; i < pictures; ++i) {
      count += labelled == nullptr || labelled[i] != 0 ? 1 : 0;
    }
    counts->pictures = count;
    counts->matches = 0;
  }
};

/// Writes one partial sum per block: 1 - CIoU.
__global__ void __launch_bounds__(kThreads)
    slots_kernel(Head head, const float* targets, int64_t capacity, AnchorSizes anchors,
                 float anchor_t, double* partial) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  double sums[kNumTerms] = {};
  if (i < head.num_slots) {
    const float* const target = targets + i % capacity * 6;
    const int64_t anchor = i / capacity % head.dims.anchors;
    const int offset = int(i / capacity / head.dims.anchors);
    Slot slot{-1, 0, 0, {}};
    Match m;
    // A NaN picture fails the comparison: no match.
    if (target[0] >= 0 && head.has(int64_t(target[0])) &&
        match_target(target, offset, anchor, anchors.wh[anchor][0], anchors.wh[anchor][1], anchor_t,
                     head.dims, m)) {
      slot.box = box_of(m, head.dims);
      slot.class_id = int32_t(m.class_id);
      slot.ciou = box_ciou(head.logits + slot.box * head.dims.width, float(m.anchor_w),
                           float(m.anchor_h), float(m.x), float(m.y), float(m.w), float(m.h));
      slot.next = atomicExch(head.first + slot.box, int32_t(i + 1));
      sums[kBox] = 1.0 - double(slot.ciou.value);
      atomicAdd(&head.counts->matches, int32_t(1));
    }
    head.slots[i] = slot;
  }
  write_block_sums(sums, partial + int64_t(blockIdx.x) * kNumTerms);
}

/// The largest number in a box's list.
__device__ int32_t last_of(const Head& head, int64_t box) {
  int32_t last = 0;
  for (int32_t at = head.first[box]; at != 0; at = head.slots[at - 1].next) {
    if (at > last) last = at;
  }
  return last;
}

/// blockIdx.y: the picture.
__global__ void __launch_bounds__(kThreads)
    boxes_kernel(Head head, Bce bce, float grad_scale, double* partial) {
  const int64_t in_picture = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t cells = head.dims.cells();
  double sums[kNumTerms] = {};
  if (in_picture < cells && head.has(blockIdx.y)) {
    const int64_t box = int64_t(blockIdx.y) * cells + in_picture;
    const int64_t at = box * head.dims.width + 4;
    const int32_t last = last_of(head, box);
    const float ciou = last == 0 ? 0 : head.slots[last - 1].ciou.value;
    const LossAndGrad<float> r = bce(head.logits[at], ciou > 0 ? ciou : 0);
    sums[kObj] = double(r.loss);
    if (head.grad != nullptr) head.grad[at] = grad_scale * r.grad;
  }
  const int64_t block = int64_t(blockIdx.y) * gridDim.x + blockIdx.x;
  write_block_sums(sums, partial + block * kNumTerms);
}

struct Classes {
  Bce bce;
  float positive, negative;  // targets of the right class and of the others
};

/// Adds one match to its box: by a warp, one lane per channel.
__device__ double add_match(const Head& head, const Slot& slot, const Classes& classes,
                            float box_scale, float cls_scale, int lane) {
  double loss = 0;
  for (int64_t c = lane; c < head.dims.width; c += kWarp) {
    const int64_t at = slot.box * head.dims.width + c;
    if (c < 4) {
      if (head.grad != nullptr) head.grad[at] += box_scale * slot.ciou.grad[c];
    } else if (c > 4 && head.dims.classes() > 1) {
      const LossAndGrad<float> r = classes.bce(
          head.logits[at], c - 5 == slot.class_id ? classes.positive : classes.negative);
      loss += double(r.loss);
      if (head.grad != nullptr) head.grad[at] += cls_scale * r.grad;
    }
  }
  return loss;
}

__global__ void __launch_bounds__(kThreads)
    matches_kernel(Head head, Classes classes, double box_gain, double cls_gain, double* partial) {
  const int lane = int(threadIdx.x) % kWarp;
  const int64_t i = int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  double sums[kNumTerms] = {};
  if (i < head.num_slots && head.slots[i].box >= 0) {
    const int64_t box = head.slots[i].box;
    const int32_t last = last_of(head, box);
    if (last == i + 1) {
      const double pictures = double(head.counts->pictures);
      const double matches = double(head.counts->matches);
      const float box_scale = float(-(pictures * box_gain) / matches);
      const float cls_scale = float(pictures * cls_gain / (matches * double(head.dims.classes())));
      for (int32_t number = 0; number != last;) {
        int32_t next = last;
        for (int32_t at = head.first[box]; at != 0; at = head.slots[at - 1].next) {
          if (at > number && at < next) next = at;
        }
        number = next;
        sums[kCls] += add_match(head, head.slots[number - 1], classes, box_scale, cls_scale, lane);
      }
    }
  }
  write_block_sums(sums, partial + int64_t(blockIdx.x) * kNumTerms);
}

/// Adds a head's means to the terms and updates the total.
struct FinishHead {
  Counts* counts;
  LossGains gains;
  double balance, cells, classes;
  double* terms;
  float* total;
  __device__ void operator()(const double* sums) const {
    const double pictures = double(counts->pictures), matches = double(counts->matches);
    const double boxes = cells * pictures;
    if (matches > 0) {
      terms[kBox] += gains.box * (sums[kBox] / matches);
      if (classes > 1) terms[kCls] += gains.cls * (sums[kCls] / (matches * classes));
    }
    if (boxes > 0) terms[kObj] += gains.obj * balance * (sums[kObj] / boxes);
    *total = float((terms[kBox] + terms[kObj] + terms[kCls]) * pictures);
    counts->matches = 0;
  }
};

int64_t blocks_for(int64_t n, int64_t a_block) {
  return (n + a_block - 1) / a_block;
}

AnchorSizes sizes_of(const Anchors& anchors, size_t head) {
  AnchorSizes sizes{};
  for (size_t a = 0; a < anchors.wh_px[head].size(); ++a) {
    const auto wh = anchors.grid(head, a);
    sizes.wh[a][0] = wh[0];
    sizes.wh[a][1] = wh[1];
  }
  return sizes;
}

}  // namespace

void detection_loss(const std::vector<Tensor>& logits, const std::vector<HeadDims>& dims,
                    const Tensor& targets, const Anchors& anchors,
                    const DetectionLossOptions& options, const std::vector<double>& balance,
                    const std::vector<Tensor>& grads, const Tensor& terms, const Tensor& total) {
  const Device device = logits[0].device();
  const int64_t capacity = targets.size(0), pictures = dims[0].pictures;
  const int64_t num_slots = kNumOffsets * anchors.per_head() * capacity;
  if (anchors.per_head() > kMaxAnchors) {
    throw ValueError("detection_loss: {} anchors a cell, on a GPU at most {}", anchors.per_head(),
                     kMaxAnchors);
  }
  if (num_slots > std::numeric_limits<int32_t>::max() - 1) {
    throw ValueError("detection_loss: {} targets and {} anchors a cell are too many", capacity,
                     anchors.per_head());
  }
  const Tensor counts = Tensor::empty({int64_t(sizeof(Counts))}, DType::kUInt8, device);
  const Tensor slots = Tensor::empty({std::max<int64_t>(1, num_slots) * int64_t(sizeof(Slot))},
                                     DType::kUInt8, device);
  const uint8_t* const labelled =
      options.labelled.defined() ? options.labelled.device_data<uint8_t>() : nullptr;
  Counts* const counted = reinterpret_cast<Counts*>(counts.device_data<uint8_t>());
  for_each(1, CountPictures{labelled, pictures, counted});
  terms.zero();

  for (size_t k = 0; k < logits.size(); ++k) {
    const int64_t cells = dims[k].cells();
    const int64_t slot_blocks = blocks_for(num_slots, kThreads);
    const int64_t match_blocks = blocks_for(num_slots, kWarps);
    const int64_t picture_blocks = blocks_for(cells, kThreads);
    const int64_t rows = slot_blocks + picture_blocks * pictures + match_blocks;
    const bool has_boxes = pictures > 0 && cells > 0;
    const Tensor first =
        Tensor::empty({pictures * cells * int64_t(sizeof(int32_t))}, DType::kUInt8, device);
    const Tensor partial = Tensor::empty({rows, kNumTerms}, DType::kFloat64, device);
    double* sums = partial.device_data<double>();
    if (has_boxes) {
      Head head{dims[k],
                logits[k].device_data<float>(),
                grads[k].defined() ? grads[k].device_data<float>() : nullptr,
                labelled,
                reinterpret_cast<int32_t*>(first.device_data<uint8_t>()),
                reinterpret_cast<Slot*>(slots.device_data<uint8_t>()),
                num_slots,
                counted};
      first.zero();
      if (grads[k].defined()) grads[k].zero();
      const float gamma = float(options.fl_gamma);
      const Bce objectness{float(options.obj_pw), gamma};
      const Classes classes{{float(options.cls_pw), gamma},
                            float(1 - options.label_smoothing / 2),
                            float(options.label_smoothing / 2)};
      // The number of pictures cancels: the mean divides by it, the total multiplies by it.
      const float obj_scale = float(options.gains.obj * balance[k] / double(cells));
      if (num_slots > 0) {
        launch(slots_kernel, dim3(unsigned(slot_blocks)), dim3(kThreads), head,
               targets.device_data<float>(), capacity, sizes_of(anchors, k),
               float(options.anchor_t), sums);
      }
      sums += slot_blocks * kNumTerms;
      launch(boxes_kernel, dim3(unsigned(picture_blocks), unsigned(pictures)), dim3(kThreads), head,
             objectness, obj_scale, sums);
      sums += picture_blocks * pictures * kNumTerms;
      if (num_slots > 0) {
        launch(matches_kernel, dim3(unsigned(match_blocks)), dim3(kThreads), head, classes,
               options.gains.box, options.gains.cls, sums);
      }
    }
    finish_sums<kNumTerms>(
        partial.device_data<double>(), has_boxes ? rows : 0,
        FinishHead{counted, options.gains, balance[k], double(cells), double(dims[k].classes()),
                   terms.device_data<double>(), total.device_data<float>()});
  }
}

}  // namespace ydistill::cuda
