// SPDX-License-Identifier: MIT
#include <ydistill/distill/feature_map_nms.h>

#include <ydistill/distill/feature_map_nms_math.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

constexpr int64_t kBoxesPerTask = 512;

void run_on_cpu(const Tensor& head, const HeadDims& dims, const Tensor& classes,
                const Tensor& objectness) {
  dispatch_float(head.dtype(), "feature_map_nms", [&](auto type) {
    using T = decltype(type);
    const T* const boxes = head.data<T>();
    int64_t* const class_of = classes.data<int64_t>();
    T* const out = objectness.data<T>();
    parallel_ranges(objectness.numel(), kBoxesPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        class_of[i] = largest_class(boxes + i * dims.width, dims.width);
      }
    });
    parallel_ranges(objectness.numel(), kBoxesPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        out[i] = has_surer_neighbour(boxes, class_of, dims, i) ? T(kSuppressedLogit)
                                                               : boxes[i * dims.width + 4];
      }
    });
  });
}

}  // namespace

Tensor feature_map_nms(const Tensor& head) {
  if (head.rank() != 5 || head.size(4) < 6) {
    throw ShapeError("feature_map_nms: takes logits [N,H,W,A,5+C], got {}", head.str());
  }
  const HeadDims dims{head.size(0), head.size(1), head.size(2), head.size(3), head.size(4)};
  const Shape boxes{dims.pictures, dims.rows, dims.columns, dims.anchors};
  const Tensor classes = Tensor::empty(boxes, DType::kInt64, head.device());
  const Tensor objectness = Tensor::empty(boxes, head.dtype(), head.device());
  YD_BACKEND(head.device(), run_on_cpu(head, dims, classes, objectness),
             cuda::feature_map_nms(head, classes, objectness));
  return objectness;
}

}  // namespace ydistill
