// SPDX-License-Identifier: MIT
#include "distill/reference_losses.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

using test::check_reference_losses;

TEST_CASE("losses: the recorded yolov5s and yolov5m batch agrees in every case") {
  YD_REFERENCE_OR_SKIP(path, "reference/train_s_m.safetensors");
  check_reference_losses(path, Device::cpu());
}

TEST_CASE("losses: the recorded yolov5n batch agrees in every case") {
  YD_REFERENCE_OR_SKIP(path, "reference/train_n_v6.safetensors");
  check_reference_losses(path, Device::cpu());
}

}  // namespace
}  // namespace ydistill
