// SPDX-License-Identifier: MIT
// plans.json in the folder of a run on a GPU: which plan computes each convolution, so that the run
// goes on with the same ones when it is resumed.
#pragma once

#include <filesystem>
#include <vector>

#include <ydistill/tensor/conv.h>
#include <ydistill/train/sources.h>

namespace ydistill {

/// throws FileError.
void write_conv_plans(const std::filesystem::path& path, const std::vector<SavedConvPlan>& plans);
/// Empty where there is no such file, and, with a line to `say`, where it cannot be read: plans can
/// always be chosen anew.
std::vector<SavedConvPlan> read_conv_plans(const std::filesystem::path& path, const Say& say);

}  // namespace ydistill
