// SPDX-License-Identifier: MIT
// Kernels with a fault each, which is chosen by name: what the emulator must find when it is built
// with sanitizers. With "none" they stay within their memory and nothing may be found.
#include <cstdio>
#include <string>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {
namespace {

__global__ void write_kernel(float* numbers, int64_t at) {
  numbers[at + threadIdx.x] = 1;
}

__global__ void read_kernel(const float* numbers, int64_t at, float* out) {
  if (threadIdx.x == 0) *out = numbers[at];
}

template <int N>
__global__ void shared_kernel(int64_t shift, float* out) {
  __shared__ float numbers[2][N];
  numbers[1][threadIdx.x + shift] = 1;
  __syncthreads();
  out[threadIdx.x] = numbers[1][N - 1 - threadIdx.x];
}

Tensor on_gpu(int64_t numel) {
  return Tensor::zeros({numel}, DType::kFloat32, Device::cuda());
}

void write(const Tensor& t, int64_t at, unsigned threads) {
  cuda::launch(write_kernel, dim3(1), dim3(threads), t.device_data<float>(), at);
}

void run(const std::string& fault) {
  const auto shift_of = [&](const char* name) { return int64_t(fault == name ? 1 : 0); };
  write(on_gpu(5), shift_of("past_block"), 5);
  write(on_gpu(5), -shift_of("before_block"), 5);

  const ArenaScope scope(Arena::create(int64_t(1) << 20, Device::cuda()));
  // As large as what arenas divide their memory into, so that no byte is left between blocks.
  const Tensor a = on_gpu(64), b = on_gpu(64);
  write(a, shift_of("past_arena_block"), 64);
  cuda::launch(read_kernel, dim3(1), dim3(1), static_cast<const float*>(b.device_data<float>()),
               -shift_of("before_arena_block"), a.device_data<float>());
  Tensor released = on_gpu(64);
  const float* const numbers = released.device_data<float>();
  if (fault == "released_arena_block") released = {};
  cuda::launch(read_kernel, dim3(1), dim3(1), numbers, int64_t(0), a.device_data<float>());
  cuda::launch(shared_kernel<64>, dim3(1), dim3(64), shift_of("past_shared"),
               a.device_data<float>());
}

}  // namespace
}  // namespace ydistill

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  ydistill::run(argv[1]);
  std::puts("nothing found");
}
