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

/// The index after the next `end`; the end of the text if there is none.
size_t behind(std::string_view text, size_t at, std::string_view end) {
  const size_t found = text.find(end, std::min(at, text.size()));
  return found == std::string_view::npos ? text.size() : found + end.size();
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
      at = behind(text, at + 2, two == "//" ? "\n" : "*/");
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
