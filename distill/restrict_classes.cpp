// SPDX-License-Identifier: MIT
#include <ydistill/distill/restrict_classes.h>

#include <algorithm>

#include <ydistill/distill/restrict_classes_math.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

constexpr int64_t kBoxesPerTask = 512;

void run_on_cpu(const Tensor& head, const Tensor& result) {
  dispatch_float(head.dtype(), "restrict_classes", [&](auto type) {
    using T = decltype(type);
    const int64_t width = head.size(4), kept = result.size(4);
    const T* const from = head.data<T>();
    T* const to = result.data<T>();
    parallel_ranges(result.numel() / kept, kBoxesPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* const box = from + i * width;
        std::copy_n(box, kept, to + i * kept);
        to[i * kept + 4] = restricted_objectness(box, kept - 5, width - 5);
      }
    });
  });
}

}  // namespace

Tensor restrict_classes(const Tensor& head, int64_t classes) {
  if (head.rank() != 5 || head.size(4) < 6) {
    throw ShapeError("restrict_classes: takes logits [N,H,W,A,5+D], got {}", head.str());
  }
  if (classes < 1 || classes > head.size(4) - 5) {
    throw ValueError("restrict_classes: {} classes of a head that has {}", classes,
                     head.size(4) - 5);
  }
  const Tensor result =
      Tensor::empty({head.size(0), head.size(1), head.size(2), head.size(3), 5 + classes},
                    head.dtype(), head.device());
  YD_BACKEND(head.device(), run_on_cpu(head, result), cuda::restrict_classes(head, result));
  return result;
}

}  // namespace ydistill
