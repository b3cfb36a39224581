// SPDX-License-Identifier: MIT
// A guard in front of JSON trees: copying, comparing and printing one calls itself once a level, so
// that a file of nothing but brackets would overflow the stack.
#pragma once

#include <cstdint>
#include <string_view>

namespace ydistill {

/// More than any file of this project needs, and far from any stack's end.
inline constexpr int64_t kMaxJsonNesting = 64;

/// Whether more than `levels` lists and objects lie in each other somewhere in the text. Brackets
/// in strings and in comments (// and /* */) do not count. Takes any bytes.
bool json_nests_beyond(std::string_view text, int64_t levels = kMaxJsonNesting);

}  // namespace ydistill
