// SPDX-License-Identifier: MIT
#include <ydistill/train/report/tensorboard.h>

#include <sys/stat.h>

#include <cstring>
#include <utility>

#include <ydistill/tensor/error.h>

#include "support/catch.h"
#include "support/files.h"
#include "support/protobuf_reader.h"

namespace ydistill {
namespace {

/// CRC-32C bit by bit, from its definition.
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool odd = ((crc ^ (uint32_t(uint8_t(c)) >> bit)) & 1) != 0;
      crc >>= 1;
      if (odd) crc ^= 0x82F63B78u;
    }
  }
  return ~crc;
}

uint32_t mask(uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

std::vector<test::ProtobufFields> decode_file(std::string_view bytes) {
  std::vector<test::ProtobufFields> events;
  test::ByteCursor cursor{bytes};
  while (!cursor.bytes.empty()) {
    const std::string_view length_bytes = cursor.bytes.substr(0, 8);
    const uint64_t length = cursor.fixed<uint64_t>();
    CHECK(cursor.fixed<uint32_t>() == mask(slow_crc32c(length_bytes)));
    const std::string_view data = cursor.take(size_t(length));
    CHECK(cursor.fixed<uint32_t>() == mask(slow_crc32c(data)));
    events.push_back(test::read_protobuf(data));
  }
  return events;
}

double as_double(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float as_float(uint64_t bits) {
  const uint32_t low = uint32_t(bits);
  float value;
  std::memcpy(&value, &low, sizeof value);
  return value;
}

std::vector<TensorBoardEvent> some_events(int64_t n) {
  std::vector<TensorBoardEvent> events;
  for (int64_t i = 0; i < n; ++i) {
    events.push_back({1000.5 + double(i), i, {{"train/box_loss", 0.25 * double(i)}}, {}});
  }
  return events;
}

ino_t inode_of(const std::filesystem::path& path) {
  struct stat s = {};
  REQUIRE(stat(path.c_str(), &s) == 0);
  return s.st_ino;
}

TEST_CASE("tensorboard: CRC-32C of the vectors in RFC 3720") {
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += char(i);
  CHECK(crc32c(rising) == 0x46DD794Eu);
  CHECK(crc32c("123456789") == 0xE3069283u);
}

TEST_CASE("tensorboard: an event file decodes to what was put in") {
  std::vector<TensorBoardEvent> events = some_events(2);
  events[1].step = 300;  // two bytes as a varint
  events[1].scalars.push_back({"metrics/mAP_0.5", 0.75});
  events[1].images.push_back({"val", 40, 30, "a picture's bytes"});
  const std::vector<test::ProtobufFields> decoded = decode_file(encode_event_file(events));
  REQUIRE(decoded.size() == 3);
  CHECK(decoded[0].texts.find(3)->second == "brain.Event:2");
  CHECK(as_double(decoded[2].numbers.find(1)->second) == 1001.5);
  CHECK(decoded[2].numbers.find(2)->second == 300);
  const test::ProtobufFields summary = test::read_protobuf(decoded[2].texts.find(5)->second);
  std::vector<test::ProtobufFields> values;
  for (const auto& [field, text] : summary.texts) values.push_back(test::read_protobuf(text));
  REQUIRE(values.size() == 3);
  CHECK(values[0].texts.find(1)->second == "train/box_loss");
  CHECK(as_float(values[0].numbers.find(2)->second) == 0.25f);
  CHECK(values[1].texts.find(1)->second == "metrics/mAP_0.5");
  CHECK(as_float(values[1].numbers.find(2)->second) == 0.75f);
  const test::ProtobufFields image = test::read_protobuf(values[2].texts.find(4)->second);
  CHECK(image.numbers.find(1)->second == 30);
  CHECK(image.numbers.find(2)->second == 40);
  CHECK(image.texts.find(4)->second == "a picture's bytes");
}

TEST_CASE("tensorboard: a file that grows is appended to and a file of another past replaced") {
  const test::TempDir dir;
  const auto path = dir / "events";
  update_event_file(path, some_events(1));
  const ino_t inode = inode_of(path);
  update_event_file(path, some_events(3));
  CHECK(inode_of(path) == inode);
  CHECK(test::read_file(path) == encode_event_file(some_events(3)));
  // A resumed run that has to do its last epoch again.
  update_event_file(path, some_events(2));
  CHECK(test::read_file(path) == encode_event_file(some_events(2)));
}

TEST_CASE("tensorboard: a folder in the place of the file is refused by its name") {
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "events");
  CHECK_THROWS_WITH_TEXT(update_event_file(dir / "events", some_events(1)), FileError,
                         "events: expected a file, found a folder");
}

TEST_CASE("tensorboard: a record cut in the middle is completed") {
  const test::TempDir dir;
  const std::string whole = encode_event_file(some_events(2));
  for (const size_t cut : {size_t(0), size_t(5), size_t(30), whole.size() - 1}) {
    INFO("cut to " << cut << " bytes");
    test::write_file(dir / "events", whole.substr(0, cut));
    update_event_file(dir / "events", some_events(2));
    CHECK(test::read_file(dir / "events") == whole);
  }
}

}  // namespace
}  // namespace ydistill
