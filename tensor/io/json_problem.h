// SPDX-License-Identifier: MIT
// The fault of a text that should be JSON of some kind, for a one-line message.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace ydistill {

/// The reason of an exception of nlohmann's library from reading `text`: for invalid JSON "line 3,
/// column 5: syntax error while parsing ...", for unexpected JSON "key 'epoch' not found" and
/// similar. Without the library's error code in front of it.
std::string json_problem(const std::exception& error, std::string_view text);

}  // namespace ydistill
