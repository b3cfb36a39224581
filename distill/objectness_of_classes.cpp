// SPDX-License-Identifier: MIT
#include <ydistill/distill/objectness_of_classes.h>

#include <ydistill/distill/objectness_of_classes_math.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

constexpr int64_t kBoxesPerTask = 512;

void run_on_cpu(const Tensor& head, const Tensor& objectness) {
  dispatch_float(head.dtype(), "objectness_of_classes", [&](auto type) {
    using T = decltype(type);
    const int64_t width = head.size(4);
    const T* const boxes = head.data<T>();
    T* const out = objectness.data<T>();
    parallel_ranges(objectness.numel(), kBoxesPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        out[i] = objectness_of_classes(boxes + i * width, width);
      }
    });
  });
}

}  // namespace

Tensor objectness_of_classes(const Tensor& head) {
  if (head.rank() != 5 || head.size(4) < 6) {
    throw ShapeError("objectness_of_classes: takes logits [N,H,W,A,5+C], got {}", head.str());
  }
  const Tensor objectness = Tensor::empty({head.size(0), head.size(1), head.size(2), head.size(3)},
                                          head.dtype(), head.device());
  YD_BACKEND(head.device(), run_on_cpu(head, objectness),
             cuda::objectness_of_classes(head, objectness));
  return objectness;
}

}  // namespace ydistill
