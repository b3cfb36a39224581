// SPDX-License-Identifier: MIT
// Which parameters a list of layer names means.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace ydistill {

/// True for the parameters that one of `layers` names: "model.4" and "model.4.cv1" mean all
/// parameters below them, "model.0-9" those of the modules 0 to 9.
/// throws ValueError for a range that is none.
std::function<bool(const std::string&)> layer_filter(const std::vector<std::string>& layers);

}  // namespace ydistill
