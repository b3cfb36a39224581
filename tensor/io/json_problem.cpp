// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/json_problem.h>

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

/// "line 3, column 5" of the byte that the parser stopped at (1-based, as it counts).
std::string place(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, byte == 0 ? 0 : byte - 1);
  const int64_t line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t last_break = before.rfind('\n');
  const size_t column =
      last_break == std::string_view::npos ? before.size() + 1 : before.size() - last_break;
  return fmt::format("line {}, column {}", line, column);
}

/// The text after the first `mark`; all of it if there is none.
std::string behind(const std::string& text, std::string_view mark) {
  const size_t at = text.find(mark);
  return at == std::string::npos ? text : text.substr(at + mark.size());
}

}  // namespace

std::string json_problem(const std::exception& error, std::string_view text) {
  // The library's own message for this differs from release to release.
  if (text.empty()) return "the text is empty, expected JSON";
  const std::string reason = error.what();
  if (const auto* syntax = dynamic_cast<const nlohmann::json::parse_error*>(&error)) {
    // "[...] parse error at line 3, column 5: syntax error while parsing ...": the last part.
    return fmt::format("{}: {}", place(text, syntax->byte), printable(behind(reason, ": ")));
  }
  return printable(behind(reason, "] "));
}

}  // namespace ydistill
