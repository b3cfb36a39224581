// SPDX-License-Identifier: MIT
// A limit on the nesting of JSON: copying, comparing and printing a tree recurse once per level, so
// a file that consists of brackets would overflow the stack.
#pragma once

#include <cstdint>
#include <string_view>

namespace ydistill {

/// More than any file of this project needs, and safe for any stack.
inline constexpr int64_t kMaxJsonNesting = 64;

/// Whether lists and objects are nested more than `levels` deep somewhere in the text. Brackets in
/// strings and in comments (// and /* */) do not count. Accepts any bytes.
bool json_nests_beyond(std::string_view text, int64_t levels = kMaxJsonNesting);

}  // namespace ydistill
