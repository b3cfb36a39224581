// SPDX-License-Identifier: MIT
// Two passes, one thread per box: first its class, from all its logits; then its neighbours, of
// which only the objectness and the class are read.
#include <ydistill/distill/feature_map_nms.h>
#include <ydistill/distill/feature_map_nms_math.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

struct FindClass {
  const float* head;
  int64_t width;
  int64_t* classes;
  __device__ void operator()(int64_t i) const {
    classes[i] = largest_class(head + i * width, width);
  }
};

struct Suppress {
  const float* head;
  const int64_t* classes;
  HeadDims dims;
  float* objectness;
  __device__ void operator()(int64_t i) const {
    objectness[i] = has_surer_neighbour(head, classes, dims, i) ? float(kSuppressedLogit)
                                                                : head[i * dims.width + 4];
  }
};

}  // namespace

void feature_map_nms(const Tensor& head, const Tensor& classes, const Tensor& objectness) {
  if (head.dtype() != DType::kFloat32) {
    throw DTypeError("feature_map_nms: on a GPU it takes float32, got {}", name_of(head.dtype()));
  }
  const HeadDims dims{head.size(0), head.size(1), head.size(2), head.size(3), head.size(4)};
  const float* const boxes = head.device_data<float>();
  int64_t* const class_of = classes.device_data<int64_t>();
  for_each(classes.numel(), FindClass{boxes, dims.width, class_of});
  for_each(classes.numel(), Suppress{boxes, class_of, dims, objectness.device_data<float>()});
}

}  // namespace ydistill::cuda
