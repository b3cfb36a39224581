// SPDX-License-Identifier: MIT
// Reads the bytes of a pickle, and numbers and text as its instructions encode them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ydistill {

class PickleCursor {
 public:
  PickleCursor(std::span<const std::byte> bytes, std::string_view source)
      : bytes_(bytes), source_(source) {}

  /// throws FileError "{source}: pickle, byte {n}: {what}".
  [[noreturn]] void fail(const std::string& what) const;

  /// Start of the current instruction, for messages.
  void mark_instruction() { instruction_ = position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  /// throws FileError if fewer than n bytes are left.
  std::string_view take(uint64_t n);
  /// An unsigned little-endian number of `nbytes` <= 8 bytes.
  uint64_t number(size_t nbytes);
  uint8_t byte() { return uint8_t(number(1)); }
  double big_endian_double();
  /// Text up to the next newline, which is consumed but not returned.
  std::string_view line();

 private:
  std::span<const std::byte> bytes_;
  std::string_view source_;
  size_t position_ = 0;
  size_t instruction_ = 0;
};

/// An integer of any length: exact if it fits int64, else `number` is approximate.
struct PickleInteger {
  bool fits = true;
  int64_t integer = 0;
  double number = 0;
  bool valid = true;
};
/// Little-endian two's complement, as LONG1 and LONG4 write it.
PickleInteger integer_from_bytes(std::string_view bytes);
/// Decimal digits with an optional sign, as INT and LONG write it; not valid for anything else.
PickleInteger integer_from_text(std::string_view text);
/// Python's 'raw-unicode-escape', as UNICODE writes it, in UTF-8.
std::string unescape_raw_unicode(std::string_view text);
/// A quoted Python 2 string, as STRING writes it, in UTF-8 (each byte a code point of Latin-1).
/// Returns false if it is not quoted.
bool unescape_quoted(std::string_view text, std::string& out);

}  // namespace ydistill
