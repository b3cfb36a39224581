// SPDX-License-Identifier: MIT
// A thread a box.
#include <ydistill/distill/objectness_of_classes.h>
#include <ydistill/distill/objectness_of_classes_math.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

struct OfBox {
  const float* head;
  int64_t width;
  float* objectness;
  __device__ void operator()(int64_t i) const {
    objectness[i] = ydistill::objectness_of_classes(head + i * width, width);
  }
};

}  // namespace

void objectness_of_classes(const Tensor& head, const Tensor& objectness) {
  if (head.dtype() != DType::kFloat32) {
    throw DTypeError("objectness_of_classes: on a GPU it takes float32, got {}",
                     name_of(head.dtype()));
  }
  for_each(objectness.numel(),
           OfBox{head.device_data<float>(), head.size(4), objectness.device_data<float>()});
}

}  // namespace ydistill::cuda
