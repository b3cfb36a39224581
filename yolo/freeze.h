// SPDX-License-Identifier: MIT
// Selects parameters by a list of layer names.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace ydistill {

/// Returns a predicate on parameter names: "model.4" and "model.4.cv1" select all parameters below
/// them, "model.0-9" those of modules 0 to 9.
/// throws ValueError for an invalid range.
std::function<bool(const std::string&)> layer_filter(const std::vector<std::string>& layers);

}  // namespace ydistill
