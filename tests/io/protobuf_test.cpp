// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/protobuf.h>

#include "support/protobuf_reader.h"

namespace ydistill {
namespace {

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    const char* digits = "0123456789abcdef";
    text += {digits[uint8_t(c) >> 4], digits[uint8_t(c) & 15], ' '};
  }
  return text;
}

// The examples of protobuf's own page on its encoding.
TEST_CASE("protobuf: the examples of the format's description") {
  ProtobufMessage number;
  number.add(1, 150);
  CHECK(hex(number.bytes()) == "08 96 01 ");
  ProtobufMessage text;
  text.add(2, "testing");
  CHECK(hex(text.bytes()) == "12 07 74 65 73 74 69 6e 67 ");
  ProtobufMessage outer;
  outer.add(3, number);
  CHECK(hex(outer.bytes()) == "1a 03 08 96 01 ");
  ProtobufMessage negative;
  negative.add(1, -2);
  CHECK(hex(negative.bytes()) == "08 fe ff ff ff ff ff ff ff ff 01 ");
}

TEST_CASE("protobuf: taking the bytes leaves an empty message") {
  ProtobufMessage message;
  message.add(1, 150);
  CHECK(hex(message.take()) == "08 96 01 ");
  CHECK(message.bytes().empty());
}

TEST_CASE("protobuf: numbers, large field numbers and repeated fields come back in order") {
  ProtobufMessage message;
  message.add(20, int64_t(1) << 40);
  message.add(2, 1.5f);
  message.add(3, -0.25);
  message.add(8, 7);
  message.add(8, 5);
  const test::ProtobufFields fields = test::read_protobuf(message.bytes());
  CHECK(fields.number(20) == int64_t(1) << 40);
  CHECK(fields.number(2) == 0x3fc00000);
  CHECK(uint64_t(fields.number(3)) == 0xbfd0000000000000u);
  CHECK(fields.all_numbers(8) == std::vector<int64_t>{7, 5});
}

}  // namespace
}  // namespace ydistill
