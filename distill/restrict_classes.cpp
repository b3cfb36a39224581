// SPDX-License-Identifier: MIT
#include <ydistill/distill/restrict_classes.h>

#include <ydistill/distill/restrict_classes_math.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

constexpr int64_t kBoxesPerTask = 512;

void run_on_cpu(const Tensor& head, const ClassParts& parts, const Tensor& result) {
  dispatch_float(head.dtype(), "restrict_classes", [&](auto type) {
    using T = decltype(type);
    const int64_t width = head.size(4), kept = result.size(4);
    const T* const from = head.data<T>();
    const int64_t* const ends = parts.ends().data<int64_t>();
    T* const to = result.data<T>();
    parallel_ranges(result.numel() / kept, kBoxesPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const RestrictedBox<T> box{from + i * width, ends, kept - 5, width - 5};
        for (int64_t k = 0; k < kept; ++k) to[i * kept + k] = box[k];
      }
    });
  });
}

}  // namespace

ClassParts::ClassParts(const std::vector<int64_t>& sizes, Device device) {
  if (sizes.empty()) throw ValueError("restrict_classes: a student without classes");
  std::vector<int64_t> ends;
  for (const int64_t size : sizes) {
    if (size < 1) throw ValueError("restrict_classes: a class made of {} others", size);
    parts_ += size;
    ends.push_back(parts_);
  }
  ends_ = Tensor::of<int64_t>({int64_t(ends.size())}, ends).to(device);
}

Tensor restrict_classes(const Tensor& head, const ClassParts& parts) {
  if (head.rank() != 5 || head.size(4) < 6) {
    throw ShapeError("restrict_classes: takes logits [N,H,W,A,5+D], got {}", head.str());
  }
  if (parts.parts() > head.size(4) - 5) {
    throw ValueError("restrict_classes: {} classes of a head that has {}", parts.parts(),
                     head.size(4) - 5);
  }
  if (parts.ends().device() != head.device()) {
    throw DeviceError("restrict_classes: the head is on {}, the classes' parts on {}",
                      head.device().str(), parts.ends().device().str());
  }
  const Tensor result =
      Tensor::empty({head.size(0), head.size(1), head.size(2), head.size(3), 5 + parts.classes()},
                    head.dtype(), head.device());
  YD_BACKEND(head.device(), run_on_cpu(head, parts, result),
             cuda::restrict_classes(head, parts, result));
  return result;
}

}  // namespace ydistill
