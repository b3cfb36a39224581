// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/block_sums.h>
#include <ydistill/train/step_runner_cuda.h>

namespace ydistill::cuda {
namespace {

// Positions in step_sums().
constexpr int kDetection = 0, kDistill = 3, kFeature = 6, kDetectionSquare = 7, kDistillSquare = 8;

struct AddTerms {
  double* sums;  // as many as terms
  const double* terms;
  double divisor;
  __device__ void operator()(int64_t i) const { sums[i] += terms[i] / divisor; }
};

struct AddSquare {
  double* sum;
  __device__ void operator()(const double* square_sum) const { *sum += square_sum[0]; }
};

void add_terms(double* sums, const Tensor& terms, double divisor) {
  if (!terms.defined()) return;
  for_each(terms.numel(), AddTerms{sums, terms.device_data<double>(), divisor});
}

void add_squares(double* sum, const std::vector<Tensor>& squares) {
  for (const Tensor& parts : squares) {
    finish_sums<1>(parts.device_data<double>(), parts.numel(), AddSquare{sum});
  }
}

}  // namespace

void add_step_terms(const Tensor& sums, const StepResult& result, int64_t pictures) {
  double* const to = sums.device_data<double>();
  add_terms(to + kDetection, result.detection_terms, 1);
  add_terms(to + kDistill, result.distill_terms, double(pictures));
  add_terms(to + kFeature, result.feature_term, double(pictures));
  add_squares(to + kDetectionSquare, result.detection_squares);
  add_squares(to + kDistillSquare, result.distill_squares);
}

}  // namespace ydistill::cuda
