// SPDX-License-Identifier: MIT
// A thread a number that is written: neighbours read neighbours, but for the objectness, whose
// thread reads the box's classes.
#include <ydistill/distill/restrict_classes.h>
#include <ydistill/distill/restrict_classes_math.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

struct Restrict {
  const float* head;
  int64_t width, kept;
  float* result;
  __device__ void operator()(int64_t i) const {
    const int64_t c = i % kept;
    const float* const box = head + i / kept * width;
    result[i] = c == 4 ? restricted_objectness(box, kept - 5, width - 5) : box[c];
  }
};

}  // namespace

void restrict_classes(const Tensor& head, const Tensor& result) {
  if (head.dtype() != DType::kFloat32) {
    throw DTypeError("restrict_classes: on a GPU it takes float32, got {}", name_of(head.dtype()));
  }
  for_each(result.numel(), Restrict{head.device_data<float>(), head.size(4), result.size(4),
                                    result.device_data<float>()});
}

}  // namespace ydistill::cuda
