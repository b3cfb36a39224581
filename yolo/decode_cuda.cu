// SPDX-License-Identifier: MIT
// One thread per number of the output, so that writes are coalesced; a box's numbers are contiguous
// in the logits too.
#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/cuda/elementwise.h>
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/decode_math.h>

namespace ydistill::cuda {
namespace {

constexpr int64_t kMaxAnchors = 32;  // they are passed as a kernel argument

struct Decode {
  const float* logits;
  float* boxes;
  int64_t boxes_of_picture, first;  // boxes of all heads; index of this head's first
  int64_t cells, anchors;           // rows * columns
  float stride;
  Divider by_width, by_columns, by_cells, by_anchors;
  int64_t width;
  float wh[kMaxAnchors][2];

  __device__ void operator()(int64_t i) const {
    const auto number = by_width(i);
    const auto cell = by_cells(number.quotient);
    const auto anchor = by_anchors(cell.quotient);
    const auto place = by_columns(cell.remainder);
    const int64_t picture = anchor.quotient, a = anchor.remainder, k = number.remainder;
    const float t = logits[((picture * cells + cell.remainder) * anchors + a) * width + k];
    float value = 0;
    switch (k) {
      case 0:
        value = decode_centre(t, place.remainder, stride);
        break;
      case 1:
        value = decode_centre(t, place.quotient, stride);
        break;
      case 2:
      case 3:
        value = decode_side(t, wh[a][k - 2]);
        break;
      default:
        value = sigmoid(t);
    }
    const int64_t box = picture * boxes_of_picture + first + a * cells + cell.remainder;
    boxes[box * width + k] = value;
  }
};

}  // namespace

void decode_head(const Tensor& logits, const HeadDims& head, const Anchors& anchors, size_t index,
                 int64_t first, const Tensor& decoded) {
  if (head.anchors > kMaxAnchors) {
    throw ValueError("decode_heads: {} anchors a cell, at most {} on a GPU", head.anchors,
                     kMaxAnchors);
  }
  if (logits.numel() == 0) return;
  const int64_t cells = head.rows * head.columns;
  Decode decode{logits.device_data<float>(),
                decoded.device_data<float>(),
                decoded.size(1),
                first,
                cells,
                head.anchors,
                float(anchors.strides[index]),
                Divider(head.width),
                Divider(head.columns),
                Divider(cells),
                Divider(head.anchors),
                head.width,
                {}};
  for (int64_t a = 0; a < head.anchors; ++a) {
    for (size_t side = 0; side < 2; ++side) {
      decode.wh[a][side] = float(anchors.wh_px[index][size_t(a)][side]);
    }
  }
  for_each(logits.numel(), decode);
}

}  // namespace ydistill::cuda
