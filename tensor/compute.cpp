// SPDX-License-Identifier: MIT
#include <ydistill/tensor/compute.h>

#include <charconv>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/conv_int8.h>
#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/error.h>
#ifdef YD_HAVE_CUDA
#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/cuda/device.h>
#endif

namespace ydistill {
namespace {

/// Why no GPU can be used; empty if one can.
std::string why_no_gpu() {
#ifdef YD_HAVE_CUDA
  return cuda::why_no_device();
#else
  return "this build has no CUDA (configure with YDISTILL_CUDA=ON)";
#endif
}

Device choose_device(const std::string& name) {
  if (name == "cpu") return Device::cpu();
  if (name == "auto") return why_no_gpu().empty() ? Device::cuda() : Device::cpu();
  int index = 0;
  if (name != "cuda") {
    const bool prefixed = name.starts_with("cuda:");
    const char* const end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + (prefixed ? 5 : 0), end, index);
    if (!prefixed || parsed.ec != std::errc() || parsed.ptr != end) {
      throw ConfigError("device: expected \"auto\", \"cpu\", \"cuda\" or \"cuda:N\", got \"{}\"",
                        name);
    }
  }
  const std::string reason = why_no_gpu();
  if (!reason.empty()) {
    throw ConfigError("device: \"{}\" cannot be used: {}; use \"cpu\" or \"auto\"", name, reason);
  }
#ifdef YD_HAVE_CUDA
  try {
    cuda::require_device(index);
  } catch (const DeviceError& error) {
    throw ConfigError("device: {}", error.what());
  }
#endif
  return Device::cuda(index);
}

/// throws ValueError if an environment variable asks for what this build or CPU does not know.
void check_environment() {
  (void)cpu_level();
  (void)cpu_has_fast_bf16_pairs();
  (void)cpu_amx();
  (void)cpu_has_int8_dots();
  (void)conv_backend_name();
}

}  // namespace

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kTf32:
      return "tf32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
  }
  return "?";
}

Compute choose_compute(const std::string& device, const std::string& precision, bool autotune) {
  check_environment();
  Compute compute{choose_device(device)};
  compute.autotune = autotune && compute.device.is_cuda();
  if (precision == "auto") {
    const bool fast = compute.device.is_cuda() || cpu_has_fast_bf16();
    compute.precision = fast ? Precision::kBf16 : Precision::kFp32;
  } else if (precision == "tf32") {
    compute.precision = Precision::kTf32;
  } else if (precision == "bf16") {
    compute.precision = Precision::kBf16;
  } else if (precision == "int8") {
    throw ConfigError(
        "precision: \"int8\" is for detection and validation; here use \"fp32\", \"bf16\" or "
        "\"auto\"");
  } else if (precision != "fp32") {
    throw ConfigError("precision: expected \"auto\", \"fp32\", \"tf32\" or \"bf16\", got \"{}\"",
                      precision);
  }
  if (compute.device.is_cuda()) return compute;
  if (compute.precision == Precision::kTf32) {
    throw ConfigError(
        "precision: \"tf32\" runs only on a GPU; on this CPU use \"fp32\", \"bf16\" or \"auto\"");
  }
  return compute;
}

Compute choose_inference_compute(const std::string& device, const std::string& precision,
                                 bool calibrated, bool autotune) {
  if (precision == "int8") {
    check_environment();
    const Device where = choose_device(device);
    if (where.is_cuda()) {
      throw ConfigError(
          "precision: \"int8\" runs only on the CPU, but device \"{}\" is {}; use device \"cpu\" "
          "or another precision",
          device, where.str());
    }
    if (!calibrated) {
      throw ConfigError(
          "precision: \"int8\" needs calibrated weights, as `ydistill quantize` writes them");
    }
    return {Device::cpu(), Precision::kInt8};
  }
  for (const char* const known : {"auto", "fp32", "tf32", "bf16"}) {
    if (precision != known) continue;
    Compute compute = choose_compute(device, precision, autotune);
    const bool is_fastest = *int8_instruction() != '\0';
    if (precision == "auto" && calibrated && compute.device.is_cpu() && is_fastest) {
      compute.precision = Precision::kInt8;
    }
    return compute;
  }
  throw ConfigError(
      "precision: expected \"auto\", \"fp32\", \"tf32\", \"bf16\" or \"int8\", got \"{}\"",
      precision);
}

std::string describe(const Compute& compute) {
  std::string where = compute.device.str();
#ifdef YD_HAVE_CUDA
  if (compute.device.is_cuda()) {
    const cuda::DeviceInfo info = cuda::device_info(compute.device.index);
    where += fmt::format(" ({}, {:.1f} GiB)", info.name, double(info.memory_bytes) / (1 << 30));
  }
#endif
  const std::string by = compute.precision == Precision::kInt8 ? int8_instruction() : "";
  return fmt::format("{} in {}{}{}", where, name_of(compute.precision), by.empty() ? "" : " by ",
                     by);
}

void use_compute(const Compute& compute) {
  check_environment();
  if (compute.device.is_cpu() && compute.precision == Precision::kTf32) {
    throw ValueError("tf32 runs only on a GPU; on a CPU use fp32 or bf16");
  }
#ifndef YD_HAVE_CUDA
  if (compute.device.is_cuda()) {
    throw DeviceError("{}: this build has no CUDA", compute.device.str());
  }
#endif
#ifdef YD_HAVE_CUDA
  if (compute.device.is_cpu()) return;
  cuda::require_device(compute.device.index);
  cuda::set_allow_tf32(compute.precision == Precision::kTf32);
  cuda::set_autotune(compute.autotune);
  cuda::set_fuse_inference(compute.autotune);
#endif
}

}  // namespace ydistill
