// SPDX-License-Identifier: MIT
#include <ydistill/yolo/oihw.h>

#include <algorithm>

#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

/// [O,rows,columns] -> [O,columns,rows], as a tensor of this shape.
Tensor transposed(const Tensor& t, int64_t rows, int64_t columns, const Shape& shape) {
  const Tensor out = Tensor::empty(shape, t.dtype());
  dispatch_float(t.dtype(), "weights", [&](auto type) {
    using T = decltype(type);
    const T* from = t.data<T>();
    T* to = out.data<T>();
    parallel_for(t.size(0), 1, [=](int64_t o) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          to[(o * columns + c) * rows + r] = from[(o * rows + r) * columns + c];
        }
      }
    });
  });
  return out;
}

}  // namespace

Tensor oihw_from_ohwi(const Tensor& t) {
  if (t.rank() != 4) return t.clone();
  return transposed(t, t.size(1) * t.size(2), t.size(3),
                    {t.size(0), t.size(3), t.size(1), t.size(2)});
}

Tensor ohwi_from_oihw(const Tensor& t) {
  if (t.rank() != 4) return t.clone();
  return transposed(t, t.size(1), t.size(2) * t.size(3),
                    {t.size(0), t.size(2), t.size(3), t.size(1)});
}

}  // namespace ydistill
