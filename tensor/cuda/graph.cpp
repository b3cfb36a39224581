// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/graph.h>

#include <algorithm>

#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {
namespace {

cudaStream_t stream_of(void* handle) {
  return static_cast<cudaStream_t>(handle);
}
cudaEvent_t event_of(void* handle) {
  return static_cast<cudaEvent_t>(handle);
}
cudaGraphExec_t graph_of(void* handle) {
  return static_cast<cudaGraphExec_t>(handle);
}

class PinnedBlock : public Storage {
 public:
  explicit PinnedBlock(int64_t nbytes) {
    void* data = nullptr;
    YD_CUDA_CHECK(cudaMallocHost(&data, size_t(std::max<int64_t>(nbytes, 1))));
    data_ = static_cast<std::byte*>(data);
    nbytes_ = nbytes;
  }
  ~PinnedBlock() override { cudaFreeHost(data_); }
  PinnedBlock(const PinnedBlock&) = delete;
  PinnedBlock& operator=(const PinnedBlock&) = delete;
};

}  // namespace

// Destructors do not check any status: at exit the driver may be gone already.

Stream::Stream() {
  cudaStream_t stream = nullptr;
  YD_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  handle_ = stream;
}

Stream::~Stream() {
  cudaStreamDestroy(stream_of(handle_));
}

StreamScope::StreamScope(const Stream& stream)
    : outer_(exchange_stream(stream_of(stream.handle_))) {}

StreamScope::~StreamScope() {
  exchange_stream(stream_of(outer_));
}

Event::Event() {
  cudaEvent_t event = nullptr;
  YD_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  handle_ = event;
}

Event::~Event() {
  cudaEventDestroy(event_of(handle_));
}

void Event::record() {
  YD_CUDA_CHECK(cudaEventRecord(event_of(handle_), current_stream()));
}

void Event::hold_stream() const {
  YD_CUDA_CHECK(cudaStreamWaitEvent(current_stream(), event_of(handle_), 0));
}

void Event::wait() const {
  YD_CUDA_CHECK(cudaEventSynchronize(event_of(handle_)));
}

Graph::~Graph() {
  if (handle_ != nullptr) cudaGraphExecDestroy(graph_of(handle_));
}

void Graph::capture(const std::function<void()>& work) {
  const cudaStream_t stream = current_stream();
  YD_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    (void)cudaStreamEndCapture(stream, &graph);
    (void)cudaGetLastError();
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  YD_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t runnable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&runnable, graph, 0);
  cudaGraphDestroy(graph);
  YD_CUDA_CHECK(status);
  if (handle_ != nullptr) cudaGraphExecDestroy(graph_of(handle_));
  handle_ = runnable;
}

void Graph::launch() const {
  if (handle_ == nullptr) throw ValueError("cuda graph: launched before it was captured");
  YD_CUDA_CHECK(cudaGraphLaunch(graph_of(handle_), current_stream()));
}

std::shared_ptr<Storage> allocate_pinned(int64_t nbytes) {
  return std::make_shared<PinnedBlock>(nbytes);
}

void copy_in_order(const Tensor& to, const Tensor& from) {
  if (to.shape() != from.shape()) {
    throw ShapeError("copy_in_order: {} into {}", from.str(), to.str());
  }
  if (to.dtype() != from.dtype()) {
    throw DTypeError("copy_in_order: {} into {}", from.str(), to.str());
  }
  if (to.numel() == 0) return;
  YD_CUDA_CHECK(cudaMemcpyAsync(to.raw(), from.raw(), size_t(to.nbytes()), cudaMemcpyDefault,
                                current_stream()));
}

void wait_for_gpu() {
  synchronize();
}

}  // namespace ydistill::cuda
