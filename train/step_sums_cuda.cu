// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/elementwise.h>
#include <ydistill/train/step_runner_cuda.h>

namespace ydistill::cuda {
namespace {

struct AddTerms {
  double* sums;
  const double *detection, *distill;  // or null
  double pictures;
  __device__ void operator()(int64_t i) const {
    if (i < 3) {
      if (detection != nullptr) sums[i] += detection[i];
    } else if (distill != nullptr) {
      sums[i] += (distill[0] + distill[1] + distill[2]) / pictures;
    }
  }
};

const double* data_or_null(const Tensor& t) {
  return t.defined() ? t.device_data<double>() : nullptr;
}

}  // namespace

void add_step_terms(const Tensor& sums, const Tensor& detection_terms, const Tensor& distill_terms,
                    int64_t pictures) {
  for_each(4, AddTerms{sums.device_data<double>(), data_or_null(detection_terms),
                       data_or_null(distill_terms), double(pictures)});
}

}  // namespace ydistill::cuda
