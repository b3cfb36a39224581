// SPDX-License-Identifier: MIT
// Reads little-endian numbers and protobuf fields, knowing nothing of the writer.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.h"

namespace ydistill::test {

struct ByteCursor {
  std::string_view bytes;
  template <class T>
  T fixed() {
    REQUIRE(bytes.size() >= sizeof(T));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));  // the tests run on little-endian machines
    bytes.remove_prefix(sizeof(T));
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint8_t byte = fixed<uint8_t>();
      value |= uint64_t(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string_view take(size_t n) {
    REQUIRE(bytes.size() >= n);
    const std::string_view taken = bytes.substr(0, n);
    bytes.remove_prefix(n);
    return taken;
  }
};

/// One message: what its fields hold, by number; numbers as their bits. A field that is there
/// several times keeps its order.
struct ProtobufFields {
  std::multimap<int, uint64_t> numbers;
  std::multimap<int, std::string> texts;

  /// The only text of a field; "" where there is none.
  std::string text(int field) const {
    REQUIRE(texts.count(field) <= 1);
    const auto found = texts.find(field);
    return found == texts.end() ? "" : found->second;
  }
  /// The only number of a field; 0 where there is none.
  int64_t number(int field) const {
    REQUIRE(numbers.count(field) <= 1);
    const auto found = numbers.find(field);
    return found == numbers.end() ? 0 : int64_t(found->second);
  }
  std::vector<std::string> all_texts(int field) const {
    std::vector<std::string> all;
    const auto [begin, end] = texts.equal_range(field);
    for (auto i = begin; i != end; ++i) all.push_back(i->second);
    return all;
  }
  std::vector<int64_t> all_numbers(int field) const {
    std::vector<int64_t> all;
    const auto [begin, end] = numbers.equal_range(field);
    for (auto i = begin; i != end; ++i) all.push_back(int64_t(i->second));
    return all;
  }
};

inline ProtobufFields read_protobuf(std::string_view bytes) {
  ProtobufFields message;
  ByteCursor cursor{bytes};
  while (!cursor.bytes.empty()) {
    const uint64_t key = cursor.varint();
    const int field = int(key >> 3);
    switch (key & 7) {
      case 0:
        message.numbers.emplace(field, cursor.varint());
        break;
      case 1:
        message.numbers.emplace(field, cursor.fixed<uint64_t>());
        break;
      case 2: {
        const size_t size = size_t(cursor.varint());
        message.texts.emplace(field, cursor.take(size));
        break;
      }
      case 5:
        message.numbers.emplace(field, cursor.fixed<uint32_t>());
        break;
      default:
        FAIL("wire type " << (key & 7));
    }
  }
  return message;
}

}  // namespace ydistill::test
