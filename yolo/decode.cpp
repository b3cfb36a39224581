// SPDX-License-Identifier: MIT
#include <ydistill/yolo/decode.h>

#include <type_traits>

#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

void decode_on_cpu(const Tensor& logits, const HeadDims& head, const Anchors& anchors, size_t index,
                   int64_t first, const Tensor& decoded) {
  dispatch_float(decoded.dtype(), "decode_heads", [&](auto type) {
    using T = decltype(type);
    parallel_for(head.pictures * head.anchors * head.rows, 1, [&](int64_t i) {
      const int64_t row = i % head.rows, anchor = i / head.rows % head.anchors;
      const int64_t picture = i / head.rows / head.anchors;
      const auto& wh = anchors.wh_px[index][size_t(anchor)];
      const int64_t box =
          picture * decoded.size(1) + first + (anchor * head.rows + row) * head.columns;
      const int64_t cell = (picture * head.rows + row) * head.columns;
      const DecodeArgs<T> args{logits.data<T>() + (cell * head.anchors + anchor) * head.width,
                               decoded.data<T>() + box * head.width,
                               row,
                               head.columns,
                               head.anchors * head.width,
                               head.width,
                               T(anchors.strides[index]),
                               T(wh[0]),
                               T(wh[1])};
      if constexpr (std::is_same_v<T, float>) {
        decode_kernels().decode_f32(args);
      } else {
        decode_kernels().decode_f64(args);
      }
    });
  });
}

}  // namespace

Tensor decode_heads(const std::vector<Tensor>& heads, const Anchors& anchors) {
  const std::vector<HeadDims> dims = check_heads("decode_heads", heads, anchors);
  int64_t boxes = 0;
  for (const HeadDims& head : dims) boxes += head.cells();
  const Device device = heads[0].device();
  const Tensor decoded =
      Tensor::empty({dims[0].pictures, boxes, dims[0].width}, heads[0].dtype(), device);
  int64_t first = 0;  // index of a head's first box in a picture
  for (size_t k = 0; k < heads.size(); ++k) {
    YD_BACKEND(device, decode_on_cpu(heads[k], dims[k], anchors, k, first, decoded),
               cuda::decode_head(heads[k], dims[k], anchors, k, first, decoded));
    first += dims[k].cells();
  }
  return decoded;
}

}  // namespace ydistill
