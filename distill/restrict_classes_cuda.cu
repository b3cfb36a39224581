// SPDX-License-Identifier: MIT
// One thread per output number. Neighbouring threads read neighbouring numbers, except for the
// objectness, whose thread reads the box's classes, and for classes made of several.
#include <ydistill/distill/restrict_classes.h>
#include <ydistill/distill/restrict_classes_math.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

struct Restrict {
  const float* head;
  const int64_t* ends;
  int64_t width, kept;
  float* result;
  __device__ void operator()(int64_t i) const {
    const RestrictedBox<float> box{head + i / kept * width, ends, kept - 5, width - 5};
    result[i] = box[i % kept];
  }
};

}  // namespace

void restrict_classes(const Tensor& head, const ClassParts& parts, const Tensor& result) {
  if (head.dtype() != DType::kFloat32) {
    throw DTypeError("restrict_classes: on a GPU it takes float32, got {}", name_of(head.dtype()));
  }
  for_each(result.numel(), Restrict{head.device_data<float>(), parts.ends().device_data<int64_t>(),
                                    head.size(4), result.size(4), result.device_data<float>()});
}

}  // namespace ydistill::cuda
