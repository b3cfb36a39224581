// SPDX-License-Identifier: MIT
// Evaluates ONNX files as the operators' descriptions say, in float64 and as plainly as can be:
// those operators that detectors need. https://onnx.ai/onnx/operators
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ydistill::test {

struct OnnxValue {
  std::vector<int64_t> sizes;
  std::vector<double> numbers;
  bool whole = false;  ///< integers: division drops the rest
};

/// file: bytes of a .onnx. inputs by name. returns the outputs by name. Fails the test for what it
/// does not know.
std::map<std::string, OnnxValue> evaluate_onnx(const std::string& file,
                                               std::map<std::string, OnnxValue> inputs);

/// The file's metadata.
std::map<std::string, std::string> onnx_metadata(const std::string& file);

}  // namespace ydistill::test
