// SPDX-License-Identifier: MIT
// Lets a benchmark measure on request, so that several programs can take turns on one machine.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

namespace ydistill {

/// Prints the line "ready"; then answers each line of standard input, a count of at least 1, by
/// running that many steps and printing `about` as one line of JSON with "ms", the milliseconds of
/// each step, added. Returns at the end of the input. throws ConfigError for another line.
void answer_requests(const std::function<void()>& step, nlohmann::ordered_json about);

}  // namespace ydistill
