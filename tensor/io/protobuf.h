// SPDX-License-Identifier: MIT
// Writes Protobuf's wire format, as far as TensorBoard's and ONNX's files need it.
// https://protobuf.dev/programming-guides/encoding
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace ydistill {

/// Builds one message: fields in the order of the calls, each with its number.
class ProtobufMessage {
 public:
  /// int64, int32, bool, enum.
  void add(int field, int64_t value);
  void add(int field, int value) { add(field, int64_t(value)); }
  void add(int field, float value);
  void add(int field, double value);
  /// string, bytes.
  void add(int field, std::string_view bytes);
  void add(int field, const std::string& bytes) { add(field, std::string_view(bytes)); }
  void add(int field, const char* text) { add(field, std::string_view(text)); }
  void add(int field, const ProtobufMessage& message) { add(field, message.bytes()); }

  const std::string& bytes() const { return bytes_; }
  /// Moves the bytes out; the message is then empty.
  std::string take() { return std::exchange(bytes_, {}); }

 private:
  enum class Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  void add_varint(uint64_t value);
  void add_key(int field, Wire wire);

  std::string bytes_;
};

/// Appends a number with the lowest byte first.
template <class T>
void append_little_endian(std::string& to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) to += char(uint8_t(value >> (8 * i)));
}

}  // namespace ydistill
