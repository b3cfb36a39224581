// SPDX-License-Identifier: MIT
#include <cstdint>
#include <string_view>

#include <ydistill/tensor/error.h>
#include <ydistill/train/report/record.h>

namespace ydistill {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64(const std::string& bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < n ? uint8_t(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) {
      text += k <= n ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::string from_base64(const std::string& text) {
  if (text.size() % 4 != 0) throw ValueError("base64: {} signs, not a multiple of 4", text.size());
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t group = 0;
    size_t n = 0;  // characters before the padding
    for (size_t k = 0; k < 4; ++k) {
      const size_t digit = kDigits.find(text[i + k]);
      const bool padding = text[i + k] == '=' && i + 4 == text.size() && k >= 2;
      if ((digit == kDigits.npos && !padding) || (!padding && n < k)) {
        throw ValueError("base64: sign {} is not one of it", i + k + 1);
      }
      if (!padding) ++n;
      group = group << 6 | (padding ? 0u : uint32_t(digit));
    }
    for (size_t k = 0; k + 1 < n; ++k) bytes += char(uint8_t(group >> (16 - 8 * k)));
  }
  return bytes;
}

}  // namespace ydistill
