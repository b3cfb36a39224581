// SPDX-License-Identifier: MIT
// plans.json in the folder of a run on a GPU: which plan computes each convolution. A resumed run
// uses the same ones.
#pragma once

#include <filesystem>
#include <vector>

#include <ydistill/tensor/conv.h>
#include <ydistill/train/say.h>

namespace ydistill {

/// throws FileError.
void write_conv_plans(const std::filesystem::path& path, const std::vector<SavedConvPlan>& plans);
/// Empty if there is no such file, or, with a line to `say`, if it cannot be read: plans can always
/// be chosen again.
std::vector<SavedConvPlan> read_conv_plans(const std::filesystem::path& path, const Say& say);

}  // namespace ydistill
