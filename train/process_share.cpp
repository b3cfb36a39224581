// SPDX-License-Identifier: MIT
#include <ydistill/train/process_share.h>

#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include <ydistill/tensor/parallel.h>

namespace ydistill {

void use_own_threads(const Config& config, const Exchange& exchange) {
  if (config.train.threads > 0) {
    set_num_threads(int(config.train.threads));
  } else if (exchange.threads() > 0 && std::getenv("OMP_NUM_THREADS") == nullptr) {
    set_num_threads(exchange.threads());
  }
}

namespace {

/// on: the device and precision for a device name, with the config's precision.
template <class On>
Compute choose_own(const Config& config, const Exchange& exchange, const On& on) {
  if (exchange.local_size() == 1 || config.device == "cpu") return on(config.device);
  if (config.device.starts_with("cuda:")) {
    throw ConfigError("device: {} for {} processes of a machine; with \"cuda\" each has its own",
                      config.device, exchange.local_size());
  }
  if (config.device == "auto" && on("auto").device.is_cpu()) return on("cpu");
  return on(fmt::format("cuda:{}", exchange.local_rank()));
}

}  // namespace

Compute choose_own_compute(const Config& config, const Exchange& exchange) {
  return choose_own(config, exchange, [&](const std::string& device) {
    return choose_compute(device, config.precision, config.autotune);
  });
}

Compute choose_own_inference_compute(const Config& config, const Exchange& exchange,
                                     bool calibrated) {
  return choose_own(config, exchange, [&](const std::string& device) {
    return choose_inference_compute(device, config.precision, calibrated, config.autotune);
  });
}

}  // namespace ydistill
