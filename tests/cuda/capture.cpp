// SPDX-License-Identifier: MIT
// Compiled twice: against the CUDA runtime and against the emulator's.
#include "cuda/capture.h"

#include <ydistill/tensor/cuda/runtime.h>

namespace ydistill::test {

struct CapturedWork::Graph {
  cudaGraphExec_t exec = nullptr;
};

CapturedWork::CapturedWork(const std::function<void()>& work) : graph_(new Graph) {
  const cudaStream_t stream = cuda::current_stream();
  cudaGraph_t graph = nullptr;
  YD_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  work();
  YD_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  YD_CUDA_CHECK(cudaGraphInstantiate(&graph_->exec, graph, 0));
  YD_CUDA_CHECK(cudaGraphDestroy(graph));
}

CapturedWork::~CapturedWork() {
  cudaGraphExecDestroy(graph_->exec);
}

void CapturedWork::replay() {
  YD_CUDA_CHECK(cudaGraphLaunch(graph_->exec, cuda::current_stream()));
}

}  // namespace ydistill::test
