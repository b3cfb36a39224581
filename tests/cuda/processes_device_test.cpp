// SPDX-License-Identifier: MIT
// Training in several processes, each with a GPU. Runs under mpirun: every process makes all cases.
#include <cstring>
#include <memory>

#include <ydistill/train/agreement.h>
#include <ydistill/train/exchange.h>

#include "cuda/gpu.h"
#include "cuda/small_training.h"

namespace ydistill {
namespace {

using test::difference;
using test::kGpuFp32;
using test::make_batch;
using test::Training;

Exchange& processes() {
  static const std::unique_ptr<Exchange> all = join_processes();
  return *all;
}

/// Each process's own five batches.
std::vector<Batch> own_batches() {
  std::vector<Batch> batches;
  for (int i = 0; i < 5; ++i)
    batches.push_back(make_batch(2, uint64_t(10 * i + processes().rank())));
  return batches;
}

TEST_CASE("gpu processes: values of a GPU that is not connected are refused") {
  YD_NEEDS_GPU();
  const Tensor values = Tensor::zeros({4}).to(Device::cuda());
  const std::string text = "exchange: values on cuda:0, which is not connected";
  if (processes().size() > 1) CHECK_THROWS_WITH(processes().sum(values), text);
}

TEST_CASE("gpu processes: sums, means and the first one's values") {
  YD_NEEDS_GPU();
  processes().connect(Device::cuda());
  const int size = processes().size(), rank = processes().rank();
  const Tensor own = Tensor::of<float>({3}, {1, float(rank), -2});
  const Tensor sum = own.to(Device::cuda()), mean = own.to(Device::cuda()),
               first = own.to(Device::cuda());
  processes().sum(sum);
  processes().average(mean);
  processes().broadcast(first);
  const double ranks = size * (size - 1) / 2.0;
  CHECK(difference(sum, Tensor::of<float>({3}, {float(size), float(ranks), float(-2 * size)})) ==
        0);
  CHECK(difference(mean, Tensor::of<float>({3}, {1, float(ranks / size), -2})) < 1e-7);
  CHECK(difference(first, Tensor::of<float>({3}, {1, 0, -2})) == 0);
}

// As in "gpu: steps of training agree with the CPU's": rounding grows by 1e-6 a step.
TEST_CASE("gpu processes: steps on shares agree with the CPU's, while graphs are replayed") {
  YD_NEEDS_GPU();
  processes().connect(Device::cuda());
  Training gpu(kGpuFp32, processes()), cpu(Compute{}, processes()), alone(kGpuFp32);
  gpu.steps(own_batches());
  cpu.steps(own_batches());
  alone.steps(own_batches());
  CHECK(difference(gpu.weights(), cpu.weights()) < 1e-4);
  CHECK(difference(gpu.sgd->ema_values(), cpu.sgd->ema_values()) < 1e-4);
  const ParameterStore& store = gpu.student->parameters();
  CHECK(difference(store.statistics(), cpu.student->parameters().statistics()) < 1e-4);
  CHECK(difference(alone.weights(), cpu.weights()) > 1e-4);  // it did exchange something
  CHECK_FALSE(take_state_of_first(processes(), gpu.student->parameters(), *gpu.sgd));
  if (processes().rank() == 1) gpu.student->parameters().values().zero();
  CHECK(take_state_of_first(processes(), gpu.student->parameters(), *gpu.sgd));
  CHECK(difference(gpu.weights(), cpu.weights()) < 1e-4);
}

}  // namespace
}  // namespace ydistill
