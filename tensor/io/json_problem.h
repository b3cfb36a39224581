// SPDX-License-Identifier: MIT
// What is wrong with a text that should be JSON of some kind, fit for a one-line message.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace ydistill {

/// The reason of an exception of nlohmann's library that came of reading `text`: for what is no
/// JSON "line 3, column 5: syntax error while parsing ...", for what is other JSON than expected
/// "key 'epoch' not found" and the like. Without the library's own code in front of it.
std::string json_problem(const std::exception& error, std::string_view text);

}  // namespace ydistill
