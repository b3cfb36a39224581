// SPDX-License-Identifier: MIT
// One kernel per head lists the boxes that pass; when their number is known, another copies their
// rows to one array. The list has room for all boxes, the array only for those that pass. The order
// is arbitrary: the caller sorts by number.
#include <ydistill/yolo/nms_cuda.h>

#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

struct ListPassing {
  const float* logits;
  int64_t width;
  float threshold;
  int64_t* list;               // boxes in memory order
  unsigned long long* length;  // of the list
  __device__ void operator()(int64_t box) const {
    const float objectness = logits[box * width + 4];
    if (std::isfinite(objectness) && objectness < threshold) return;
    list[atomicAdd(length, 1ull)] = box;
  }
};

/// One number of one row.
struct CopyPassing {
  const float* logits;
  const int64_t* list;
  int64_t width, anchors, grid, cells;  // of the head; grid: cells without anchors
  int64_t first, all;                   // number of its first box; boxes of a picture
  int64_t* numbers;
  float* rows;
  __device__ void operator()(int64_t i) const {
    const int64_t row = i / width, column = i % width, box = list[row];
    rows[i] = logits[box * width + column];
    if (column > 0) return;
    const int64_t picture = box / cells, cell = box % cells / anchors, anchor = box % anchors;
    numbers[row] = picture * all + first + anchor * grid + cell;
  }
};

}  // namespace

PassingBoxes passing_boxes(const std::vector<Tensor>& heads, const std::vector<HeadDims>& dims,
                           float threshold) {
  const Device device = heads[0].device();
  const int64_t pictures = dims[0].pictures, width = dims[0].width;
  int64_t all = 0;
  for (const HeadDims& head : dims) all += head.cells();
  const Tensor lists = Tensor::empty({pictures * all}, DType::kInt64, device);
  const Tensor lengths = Tensor::zeros({int64_t(heads.size())}, DType::kInt64, device);
  int64_t first = 0;  // number of the head's first box
  for (size_t k = 0; k < heads.size(); ++k) {
    unsigned long long* const length =
        reinterpret_cast<unsigned long long*>(lengths.device_data<int64_t>()) + k;
    for_each(pictures * dims[k].cells(),
             ListPassing{heads[k].device_data<float>(), width, threshold,
                         lists.device_data<int64_t>() + pictures * first, length});
    first += dims[k].cells();
  }

  const Tensor passing = lengths.to(Device::cpu());
  int64_t n = 0;
  for (const int64_t length : passing.span<int64_t>()) n += length;
  const Tensor numbers = Tensor::empty({n}, DType::kInt64, device);
  const Tensor rows = Tensor::empty({n, width}, DType::kFloat32, device);
  int64_t done = 0;
  first = 0;
  for (size_t k = 0; k < heads.size(); ++k) {
    const int64_t length = passing.data<int64_t>()[k];
    const HeadDims& head = dims[k];
    for_each(length * width, CopyPassing{heads[k].device_data<float>(),
                                         lists.device_data<int64_t>() + pictures * first, width,
                                         head.anchors, head.rows * head.columns, head.cells(),
                                         first, all, numbers.device_data<int64_t>() + done,
                                         rows.device_data<float>() + done * width});
    done += length;
    first += head.cells();
  }
  return {numbers.to(Device::cpu()), rows.to(Device::cpu())};
}

}  // namespace ydistill::cuda
