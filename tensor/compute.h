// SPDX-License-Identifier: MIT
// The device and the precision that a network computes with.
#pragma once

#include <string>

#include <ydistill/tensor/device.h>
#include <ydistill/tensor/dtype.h>

namespace ydistill {

enum class Precision : uint8_t {
  kFp32,  ///< float32 throughout
  kTf32,  ///< float32; on a GPU convolutions may round operands to a 10-bit mantissa
  kBf16,  ///< activations and their gradients bfloat16; parameters, statistics, losses float32
  kInt8,  ///< inference on the CPU: activations and weights are bytes, logits float32
};

/// "fp32", "tf32", "bf16", "int8"
const char* name_of(Precision precision);

struct Compute {
  Device device;
  Precision precision = Precision::kFp32;
  /// On a GPU: convolutions are timed on first use and may be fused with their epilogue by kernels
  /// that the library compiles at run time. The first step takes many seconds longer, and runs can
  /// choose different kernels, whose results differ in the last bits.
  bool autotune = false;

  /// Dtype of activations. For int8 float32, until Model::prepare_int8().
  DType activations() const {
    return precision == Precision::kBf16 ? DType::kBFloat16 : DType::kFloat32;
  }
  bool operator==(const Compute&) const = default;
};

/// Resolves a config's words on this machine. device: auto (a GPU if there is one), cpu, cuda or
/// cuda:N; precision: auto (bf16 on a GPU and on a CPU that multiplies it faster, else fp32), fp32,
/// tf32 (GPU only) or bf16; other CPUs store bf16 and compute in fp32. throws ConfigError in one
/// line for what this build or machine does not support, ValueError for an invalid environment
/// variable; nothing is replaced silently.
Compute choose_compute(const std::string& device, const std::string& precision,
                       bool autotune = false);
/// The same for detection and validation, which also accept "int8", on the CPU only. calibrated:
/// whether the weights have a calibration; precision auto then chooses int8 on a CPU that
/// multiplies bytes faster than anything else.
Compute choose_inference_compute(const std::string& device, const std::string& precision,
                                 bool calibrated, bool autotune = false);

/// "cpu in fp32", "cpu in int8 by AVX512_VNNI", "cuda:0 (NVIDIA H200, 139.8 GiB) in bf16"
std::string describe(const Compute& compute);

/// For the calling thread: makes the device current and sets whether its convolutions may use TF32
/// and are tuned. Call before anything is put on the device. No effect for the CPU. throws
/// DeviceError for a GPU in a build without CUDA, ValueError for TF32 on the CPU.
void use_compute(const Compute& compute);

}  // namespace ydistill
