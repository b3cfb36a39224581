// SPDX-License-Identifier: MIT
// Trace: runs a model on recorded inputs and writes every intermediate result.
//
// A batch file (safetensors) holds pictures, targets and, in its metadata, cases: which losses with
// which gains, and how many optimizer steps. Running the same file through two implementations
// shows where they differ. All tensors have PyTorch's layouts (pictures NCHW, weights OIHW, heads
// [N, A, row, column, 5 + C]).
#pragma once

#include <filesystem>
#include <string>

#include <ydistill/tensor/compute.h>
#include <ydistill/tensor/io/safetensors.h>

namespace ydistill {

struct TraceOptions {
  std::filesystem::path student;  ///< .pt or .safetensors
  std::filesystem::path teacher;  ///< empty: none (allowed where the case does not distil)
  std::filesystem::path batch;
  std::string case_name;
  bool heads_from_batch = false;    ///< `det.train_headK` are the student's logits: no network runs
  bool teacher_from_batch = false;  ///< `teacher.headK` are the teacher's logits
  bool layers = false;              ///< also {student,teacher}.layerK.moments and .corner
  Compute compute;
};

/// Runs a case and returns its results, under the names in the batch file without the case's
/// prefix:
///   student.headK, student.decoded, teacher.headK, teacher.decoded    evaluation mode
///   train_headK, loss, distill_terms, grad_headK, param_grad_norms, grad.NAME, bn_after.*
///   with steps: losses, param_norms, ema_norms, after.NAME, ema.NAME
/// param_names is in the metadata. throws FileError; ValueError for a case that does not exist.
TensorFile run_trace(const TraceOptions& options);

}  // namespace ydistill
