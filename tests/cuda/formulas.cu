// SPDX-License-Identifier: MIT
// Every formula that both backends share, compiled for the device. Nothing here runs in a test:
// that it compiles without a warning for each architecture is the check.
#include <ydistill/distill/distill_loss_math.h>
#include <ydistill/tensor/math.h>
#include <ydistill/yolo/box_iou_math.h>
#include <ydistill/yolo/decode_math.h>
#include <ydistill/yolo/detection_loss_math.h>

namespace ydistill {

template <class T>
__global__ void activations(const T* x, T* out) {
  const T v = x[threadIdx.x];
  out[threadIdx.x] = silu(v) + silu_grad(v) + softplus(v) + bce_with_logits(v, T(0.5), T(1)) +
                     bce_with_logits_grad(v, T(0.5), T(1));
}

template <class T>
__global__ void boxes(const T* x, T* out) {
  const T v = x[threadIdx.x];
  out[threadIdx.x] = decode_centre(v, int64_t(3), T(8)) + decode_side(v, T(10)) +
                     box_iou(v, v, v, v, v, v, v, v, T(1e-7)) + ciou(v, v, v, v, v, v, v, v).value +
                     box_ciou(x, v, v, v, v, v, v).value;
}

template <class T>
__global__ void losses(const T* x, T* out) {
  const T v = x[threadIdx.x];
  out[threadIdx.x] = bce_and_grad(v, T(1), T(1)).loss + focal_and_grad(v, T(1), T(1), T(2)).loss +
                     squared_distance(v, v).grad + squared_sigmoid_distance(v, v, T(1)).grad +
                     sigmoid_cross_entropy(v, v).grad;
}

template __global__ void activations(const float*, float*);
template __global__ void boxes(const float*, float*);
template __global__ void losses(const float*, float*);

}  // namespace ydistill
