// SPDX-License-Identifier: MIT
// Where a network computes and with which numbers.
#pragma once

#include <string>

#include <ydistill/tensor/device.h>
#include <ydistill/tensor/dtype.h>

namespace ydistill {

enum class Precision : uint8_t {
  kFp32,  ///< float32 throughout
  kTf32,  ///< float32; a GPU's convolutions may round their operands to 10 bits of mantissa
  kBf16,  ///< activations and their gradients bfloat16; parameters, statistics, losses float32
  kInt8,  ///< inference on the CPU: activations and weights are bytes, logits float32
};

/// "fp32", "tf32", "bf16", "int8"
const char* name_of(Precision precision);

struct Compute {
  Device device;
  Precision precision = Precision::kFp32;
  /// On a GPU: convolutions are timed on first use and may be fused with what follows by kernels
  /// that the library compiles on the spot. The first step takes many seconds longer, and which
  /// kernel wins can differ from run to run in the last bits.
  bool autotune = false;

  /// In 8 bits float32, which Model::prepare_int8() changes.
  DType activations() const {
    return precision == Precision::kBf16 ? DType::kBFloat16 : DType::kFloat32;
  }
  bool operator==(const Compute&) const = default;
};

/// What a config's words mean on this machine. device: auto (a GPU where there is one), cpu, cuda
/// or cuda:N; precision: auto (bf16 on a GPU and on a CPU that multiplies it faster, else fp32),
/// fp32, tf32 (a GPU's) or bf16; other CPUs keep bf16 in memory and compute in fp32. throws
/// ConfigError in one line for what this build or machine cannot do, ValueError for a variable of
/// the environment; nothing is replaced silently.
Compute choose_compute(const std::string& device, const std::string& precision,
                       bool autotune = false);
/// The same for detection and validation, which know "int8" too, on the CPU alone. calibrated:
/// whether the weights come with what that needs; then precision auto takes it on a CPU that
/// multiplies bytes faster than anything else.
Compute choose_inference_compute(const std::string& device, const std::string& precision,
                                 bool calibrated, bool autotune = false);

/// "cpu in fp32", "cpu in int8 by AVX512_VNNI", "cuda:0 (NVIDIA H200, 139.8 GiB) in bf16"
std::string describe(const Compute& compute);

/// Makes the device the calling thread's and settles whether convolutions may use TF32 and are
/// tuned, which holds for the whole process. Before anything is put on the device.
void use_compute(const Compute& compute);

}  // namespace ydistill
