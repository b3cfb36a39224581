// SPDX-License-Identifier: MIT
// Makes text from files safe for a one-line message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ydistill {

/// `text` with control characters and invalid UTF-8 written as \xHH; text beyond `limit` bytes is
/// replaced by "...".
std::string printable(std::string_view text, size_t limit = 400);
/// "a, b, c", made printable.
std::string printable_list(const std::vector<std::string>& texts, size_t limit = 200);

/// True where `text` is well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

/// Appends one code point, at most 0x10ffff, as UTF-8.
void append_utf8(std::string& text, char32_t code);

}  // namespace ydistill
