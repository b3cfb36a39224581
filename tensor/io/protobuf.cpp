// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/protobuf.h>

#include <bit>

namespace ydistill {

void ProtobufMessage::add_varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += char(uint8_t(value) | 0x80);
  bytes_ += char(uint8_t(value));
}

// A field's key is its number and its wire type.
void ProtobufMessage::add_key(int field, Wire wire) {
  add_varint(uint64_t(field) << 3 | uint64_t(wire));
}

void ProtobufMessage::add(int field, int64_t value) {
  add_key(field, Wire::kVarint);
  add_varint(uint64_t(value));
}

void ProtobufMessage::add(int field, float value) {
  add_key(field, Wire::kFixed32);
  append_little_endian(bytes_, std::bit_cast<uint32_t>(value));
}

void ProtobufMessage::add(int field, double value) {
  add_key(field, Wire::kFixed64);
  append_little_endian(bytes_, std::bit_cast<uint64_t>(value));
}

void ProtobufMessage::add(int field, std::string_view bytes) {
  add_key(field, Wire::kBytes);
  add_varint(bytes.size());
  bytes_ += bytes;
}

}  // namespace ydistill
