// SPDX-License-Identifier: MIT
// The libraries of convolutions, emulated: they compute on the CPU, and how long that takes is up
// to the test.
#pragma once

#include <string>

namespace cuda_emulator {

/// Two kernels of cuDNN's and one of cuBLASLt's.
struct ConvTimes {
  double cudnn_first = 1, cudnn_second = 2, cublas = 3;  ///< ms
};
/// While it lives, the kernels take these times, and calls are counted.
class ConvLibraries {
 public:
  explicit ConvLibraries(const ConvTimes& times, std::string version = "1");
  ~ConvLibraries();
  ConvLibraries(const ConvLibraries&) = delete;
  ConvLibraries& operator=(const ConvLibraries&) = delete;
  /// Kernels that were started so far.
  int runs() const;
  /// From now on cuDNN's kernels numbered below `count` cannot be started.
  void fail_first(int count);
};

}  // namespace cuda_emulator
