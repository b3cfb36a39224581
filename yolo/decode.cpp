// SPDX-License-Identifier: MIT
#include <ydistill/yolo/decode.h>

#include <type_traits>

#include <ydistill/tensor/parallel.h>

namespace ydistill {

Tensor decode_heads(const std::vector<Tensor>& heads, const Anchors& anchors) {
  const std::vector<HeadDims> dims = check_heads("decode_heads", heads, anchors);
  std::vector<Tensor> logits;
  for (const Tensor& head : heads) logits.push_back(head.to(Device::cpu()));
  int64_t boxes = 0;
  for (const HeadDims& head : dims) boxes += head.cells();
  const int64_t width = dims[0].width, pictures = dims[0].pictures;
  const Tensor decoded = Tensor::empty({pictures, boxes, width}, heads[0].dtype());

  dispatch_float(decoded.dtype(), "decode_heads", [&](auto type) {
    using T = decltype(type);
    int64_t first = 0;  // of this head's boxes in a picture
    for (size_t k = 0; k < heads.size(); ++k) {
      const HeadDims& head = dims[k];
      parallel_for(pictures * head.anchors, 1, [&](int64_t i) {
        const int64_t picture = i / head.anchors, anchor = i % head.anchors;
        const auto& wh = anchors.wh_px[k][size_t(anchor)];
        const int64_t box = picture * boxes + first + anchor * head.rows * head.columns;
        const DecodeArgs<T> args{logits[k].data<T>() + picture * head.cells() * width,
                                 decoded.data<T>() + box * width,
                                 head.rows,
                                 head.columns,
                                 head.anchors,
                                 anchor,
                                 width,
                                 T(anchors.strides[k]),
                                 T(wh[0]),
                                 T(wh[1])};
        if constexpr (std::is_same_v<T, float>) {
          decode_kernels().decode_f32(args);
        } else {
          decode_kernels().decode_f64(args);
        }
      });
      first += head.cells();
    }
  });
  return decoded;
}

}  // namespace ydistill
