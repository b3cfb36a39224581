// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/graph.h>

#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {

struct Graph::Exec {
  cudaGraphExec_t handle = nullptr;
  Exec() = default;
  Exec(const Exec&) = delete;
  Exec& operator=(const Exec&) = delete;
  ~Exec() {
    if (handle != nullptr)
      cudaGraphExecDestroy(handle);  // at exit the driver may be gone: no check
  }
};

Graph::Graph() = default;
Graph::~Graph() = default;

void Graph::begin() {
  YD_CUDA_CHECK(cudaStreamBeginCapture(current_stream(), cudaStreamCaptureModeThreadLocal));
}

void Graph::abandon() {
  cudaGraph_t graph = nullptr;
  (void)cudaStreamEndCapture(current_stream(), &graph);
  if (graph != nullptr) (void)cudaGraphDestroy(graph);
  (void)cudaGetLastError();  // the capture's, so that the next check does not see it
}

void Graph::end() {
  cudaGraph_t graph = nullptr;
  YD_CUDA_CHECK(cudaStreamEndCapture(current_stream(), &graph));
  auto exec = std::make_unique<Exec>();
  const cudaError_t status = cudaGraphInstantiate(&exec->handle, graph, 0);
  (void)cudaGraphDestroy(graph);
  YD_CUDA_CHECK(status);
  exec_ = std::move(exec);
}

void Graph::launch() {
  if (!exec_) throw ValueError("graph: nothing was captured");
  YD_CUDA_CHECK(cudaGraphLaunch(exec_->handle, current_stream()));
}

}  // namespace ydistill::cuda
