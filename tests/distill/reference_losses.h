// SPDX-License-Identifier: MIT
// Every recorded case of a single batch: losses and the gradients of the heads, from the recorded
// logits alone.
#pragma once

#include <filesystem>

#include <ydistill/tensor/device.h>

namespace ydistill::test {

/// Checks all cases of the file with the heads on `device`.
void check_reference_losses(const std::filesystem::path& path, Device device);

}  // namespace ydistill::test
