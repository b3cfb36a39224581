// SPDX-License-Identifier: MIT
#include <ydistill/layers/concat.h>

#include <ydistill/tensor/copy_rows.h>

namespace ydistill {
namespace {

const Op kConcat("concat");

int64_t row_bytes(const Shape& shape, DType dtype) {
  return shape[-1] * size_of(dtype);
}

Shape concat_shape(const std::vector<Var>& xs) {
  if (xs.empty()) throw ShapeError("concat: takes at least one input");
  const Shape& first = xs[0].shape();
  if (first.rank() != 4) throw ShapeError("concat: takes [N,H,W,C], got {}", first.str());
  int64_t channels = 0;
  for (const Var& x : xs) {
    const Shape& s = x.shape();
    if (s.rank() != 4 || s[0] != first[0] || s[1] != first[1] || s[2] != first[2]) {
      throw ShapeError("concat: {} and {} differ in more than their channels", first.str(),
                       s.str());
    }
    if (x.dtype() != xs[0].dtype()) {
      throw DTypeError("concat: inputs are {} and {}", name_of(xs[0].dtype()), name_of(x.dtype()));
    }
    if (x.device() != xs[0].device()) {
      throw DeviceError("concat: inputs are on {} and {}", xs[0].device().str(), x.device().str());
    }
    channels += s[3];
  }
  return {first[0], first[1], first[2], channels};
}

}  // namespace

Var concat(const std::vector<Var>& xs) {
  const Shape shape = concat_shape(xs);
  const DType dtype = xs[0].dtype();
  const Device device = xs[0].device();
  const int64_t rows = shape[0] * shape[1] * shape[2];
  Tensor out = Tensor::empty(shape, dtype, device);
  const int64_t pitch = row_bytes(shape, dtype);
  std::vector<Shape> shapes;
  std::vector<char> wanted;
  int64_t at = 0;
  for (const Var& x : xs) {
    const int64_t width = row_bytes(x.shape(), dtype);
    copy_rows(device, x.value().raw(), width, out.raw() + at, pitch, width, rows);
    at += width;
    shapes.push_back(x.shape());
    wanted.push_back(x.requires_grad());
  }
  return record(kConcat, std::move(out), xs, [=](const Tensor& grad_out) {
    Grads grads(shapes.size());
    int64_t from = 0;
    for (size_t i = 0; i < shapes.size(); ++i) {
      const int64_t width = row_bytes(shapes[i], dtype);
      if (wanted[i]) {
        grads[i] = Tensor::empty(shapes[i], dtype, device);
        copy_rows(device, grad_out.raw() + from, pitch, grads[i].raw(), width, width, rows);
      }
      from += width;
    }
    return grads;
  });
}

}  // namespace ydistill
