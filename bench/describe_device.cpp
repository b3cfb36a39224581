// SPDX-License-Identifier: MIT
// Prints cuDNN's own description of a GPU as one JSON document. The tests use it to ask cuDNN for
// the plans of every convolution on machines without such a GPU (tests/cuda).
//
//   describe_device [device = 0]
#include <cuda_runtime.h>
#include <cudnn.h>
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw std::runtime_error(fmt::format("{}: {}", what, cudaGetErrorString(status)));
  }
}

void check(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS) {
    throw std::runtime_error(fmt::format("{}: {}", what, cudnnGetErrorString(status)));
  }
}

std::string describe(int32_t device) {
  check(cudaSetDevice(device), "choosing the device");
  cudnnBackendDescriptor_t properties = nullptr;
  check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &properties),
        "cuDNN 9.8 or newer is needed");
  check(cudnnBackendSetAttribute(properties, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1,
                                 &device),
        "naming the device");
  check(cudnnBackendFinalize(properties), "reading the device");
  int64_t size = 0;
  check(cudnnBackendGetAttribute(properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                 CUDNN_TYPE_CHAR, 0, &size, nullptr),
        "the size of the description");
  std::string text(size_t(size), '\0');
  check(cudnnBackendGetAttribute(properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                 CUDNN_TYPE_CHAR, size, &size, text.data()),
        "the description");
  check(cudnnBackendDestroyDescriptor(properties), "releasing the description");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    fmt::print("{}\n", describe(argc > 1 ? std::atoi(argv[1]) : 0));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "describe_device: {}\n", error.what());
    return 1;
  }
}
