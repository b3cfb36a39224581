// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/json_nesting.h>

#include <algorithm>
#include <cstddef>

namespace ydistill {
namespace {

/// The index after the string that begins with the quote at `at`.
size_t behind_string(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

/// The index after a comment that begins at `at`; the end of the text if it has no end. The parser
/// ends a comment of one line at a carriage return and at a zero byte, too.
size_t behind_comment(std::string_view text, size_t at) {
  constexpr std::string_view kLineEnds("\n\r\0", 3);
  const bool is_line = text[at + 1] == '/';
  const size_t from = std::min(at + 2, text.size());
  const size_t found = is_line ? text.find_first_of(kLineEnds, from) : text.find("*/", from);
  return found == std::string_view::npos ? text.size() : found + (is_line ? 1 : 2);
}

}  // namespace

bool json_nests_beyond(std::string_view text, int64_t levels) {
  int64_t open = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view two = text.substr(at, 2);
    if (text[at] == '"') {
      at = behind_string(text, at);
      continue;
    }
    if (two == "//" || two == "/*") {
      at = behind_comment(text, at);
      continue;
    }
    if (text[at] == '[' || text[at] == '{') {
      if (++open > levels) return true;
    } else if (text[at] == ']' || text[at] == '}') {
      --open;
    }
    ++at;
  }
  return false;
}

}  // namespace ydistill
