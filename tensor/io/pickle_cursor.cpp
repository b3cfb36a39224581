// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/pickle_cursor.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The value of the first `digits` hexadecimal digits of `text`, or -1.
int64_t hex_number(std::string_view text, size_t digits) {
  if (text.size() < digits) return -1;
  int64_t value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int digit = hex_digit(text[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

}  // namespace

void PickleCursor::fail(const std::string& what) const {
  throw FileError("{}: pickle, byte {}: {}", source_, instruction_, what);
}

std::string_view PickleCursor::take(uint64_t n) {
  if (n > remaining()) {
    fail(fmt::format("is cut short: {} bytes wanted, {} are left", n, remaining()));
  }
  const char* begin = reinterpret_cast<const char*>(bytes_.data()) + position_;
  position_ += size_t(n);
  return {begin, size_t(n)};
}

uint64_t PickleCursor::number(size_t nbytes) {
  const std::string_view bytes = take(nbytes);
  uint64_t value = 0;
  for (size_t i = 0; i < nbytes; ++i) value |= uint64_t(uint8_t(bytes[i])) << (8 * i);
  return value;
}

double PickleCursor::big_endian_double() {
  const std::string_view bytes = take(8);
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | uint8_t(byte);
  return std::bit_cast<double>(value);
}

std::string_view PickleCursor::line() {
  const char* begin = reinterpret_cast<const char*>(bytes_.data()) + position_;
  const void* end = remaining() > 0 ? std::memchr(begin, '\n', remaining()) : nullptr;
  if (end == nullptr) fail("is cut short: a line has no end");
  const std::string_view text = take(uint64_t(static_cast<const char*>(end) - begin));
  take(1);
  return text;
}

PickleInteger integer_from_bytes(std::string_view bytes) {
  PickleInteger result;
  const bool negative = !bytes.empty() && (uint8_t(bytes.back()) & 0x80) != 0;
  result.fits = bytes.size() <= 8;
  if (result.fits) {
    uint64_t value = negative ? ~uint64_t(0) : 0;
    for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | uint8_t(bytes[i]);
    result.integer = int64_t(value);
    result.number = double(result.integer);
    return result;
  }
  for (size_t i = bytes.size(); i-- > 0;) {
    result.number = result.number * 256 + (negative ? uint8_t(~bytes[i]) : uint8_t(bytes[i]));
  }
  if (negative) result.number = -result.number - 1;
  return result;
}

PickleInteger integer_from_text(std::string_view text) {
  PickleInteger result;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result.integer);
  result.number = double(result.integer);
  result.fits = error == std::errc();
  result.valid = error != std::errc::invalid_argument && end == text.data() + text.size();
  if (result.valid && !result.fits) {
    result.number = text.front() == '-' ? -INFINITY : INFINITY;
    std::from_chars(text.data(), text.data() + text.size(), result.number);
  }
  return result;
}

std::string unescape_raw_unicode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 'u' || text[i + 1] == 'U')) {
      const size_t digits = text[i + 1] == 'u' ? 4 : 8;
      const int64_t code = hex_number(text.substr(i + 2), digits);
      if (code >= 0 && code <= 0x10ffff) {
        append_utf8(out, char32_t(code));
        i += 1 + digits;
        continue;
      }
    }
    append_utf8(out, uint8_t(text[i]));
  }
  return out;
}

bool unescape_quoted(std::string_view text, std::string& out) {
  if (text.size() < 2 || text.front() != text.back()) return false;
  if (text.front() != '\'' && text.front() != '"') return false;
  text = text.substr(1, text.size() - 2);
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    char32_t code = uint8_t(text[i]);
    if (code == '\\' && i + 1 < text.size()) {
      code = uint8_t(text[++i]);
      if (code == 'n') code = '\n';
      if (code == 't') code = '\t';
      if (code == 'r') code = '\r';
      if (code == 'x') {
        const int64_t value = hex_number(text.substr(i + 1), 2);
        if (value < 0) return false;
        code = char32_t(value);
        i += 2;
      }
    }
    append_utf8(out, code);
  }
  return true;
}

}  // namespace ydistill
