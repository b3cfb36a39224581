// SPDX-License-Identifier: MIT
// NCCL's all-reduce computes each piece once and sends the sum to all: the same bits on every GPU,
// and in every run on the same machines.
#include <ydistill/train/exchange_nccl.h>

#include <nccl.h>

#include <cstring>
#include <string>

#include <ydistill/tensor/cuda/runtime.h>

namespace ydistill::cuda {
namespace {

void check_status(ncclResult_t status, const char* expression, const char* file, int line) {
  if (status == ncclSuccess) return;
  throw LibraryError("{} ({}:{}): {}", expression, file, line, ncclGetErrorString(status));
}
#define YD_NCCL_CHECK(expression) check_status((expression), #expression, __FILE__, __LINE__)

class NcclExchange : public GpuExchange {
 public:
  explicit NcclExchange(ncclComm_t communicator) : communicator_(communicator) {}
  ~NcclExchange() override { (void)ncclCommDestroy(communicator_); }

  void sum(const Tensor& values) override { reduce(values, ncclSum); }
  void average(const Tensor& values) override { reduce(values, ncclAvg); }
  void broadcast(const Tensor& values) override {
    YD_NCCL_CHECK(ncclBroadcast(values.raw(), values.raw(), size_t(values.nbytes()), ncclInt8, 0,
                                communicator_, current_stream()));
  }

 private:
  void reduce(const Tensor& values, ncclRedOp_t operation) {
    float* const data = values.device_data<float>();
    YD_NCCL_CHECK(ncclAllReduce(data, data, size_t(values.numel()), ncclFloat32, operation,
                                communicator_, current_stream()));
  }

  ncclComm_t communicator_;
};

}  // namespace

std::unique_ptr<GpuExchange> connect_gpus(Exchange& exchange, Device device) {
  ncclUniqueId id{};
  exchange.together([&] {
    if (exchange.is_first()) YD_NCCL_CHECK(ncclGetUniqueId(&id));
  });
  const std::string bytes = exchange.from_first(std::string(id.internal, sizeof(id.internal)));
  std::memcpy(id.internal, bytes.data(), sizeof(id.internal));
  std::unique_ptr<GpuExchange> gpus;
  exchange.together([&] {
    YD_CUDA_CHECK(cudaSetDevice(device.index));
    ncclComm_t communicator = nullptr;
    YD_NCCL_CHECK(ncclCommInitRank(&communicator, exchange.size(), id, exchange.rank()));
    gpus = std::make_unique<NcclExchange>(communicator);
  });
  return gpus;
}

}  // namespace ydistill::cuda
