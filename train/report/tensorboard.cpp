// SPDX-License-Identifier: MIT
#include <ydistill/train/report/tensorboard.h>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/protobuf.h>
#include <ydistill/tensor/io/text_file.h>

namespace ydistill {
namespace {

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0u);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = crc_table();

void append_record(std::string& to, const std::string& data) {
  std::string length;
  append_little_endian(length, uint64_t(data.size()));
  to += length;
  append_little_endian(to, masked_crc32c(length));
  to += data;
  append_little_endian(to, masked_crc32c(data));
}

ProtobufMessage encode(const ScalarSummary& scalar) {
  ProtobufMessage value;
  value.add(1, scalar.tag);
  value.add(2, float(scalar.value));
  return value;
}

ProtobufMessage encode(const ImageSummary& image) {
  constexpr int kRgb = 3;
  ProtobufMessage picture;
  picture.add(1, image.height);
  picture.add(2, image.width);
  picture.add(3, kRgb);
  picture.add(4, image.file);
  ProtobufMessage value;
  value.add(1, image.tag);
  value.add(4, picture);
  return value;
}

ProtobufMessage encode(const TensorBoardEvent& event) {
  ProtobufMessage summary;
  for (const ScalarSummary& scalar : event.scalars) summary.add(1, encode(scalar));
  for (const ImageSummary& image : event.images) summary.add(1, encode(image));
  ProtobufMessage message;
  message.add(1, event.wall_time);
  message.add(2, event.step);
  message.add(5, summary);
  return message;
}

void append_to_file(const std::filesystem::path& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) throw FileError("{}: cannot be written: {}", path.string(), std::strerror(errno));
  try {
    write_fully(fd, std::as_bytes(std::span(bytes)), path);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ uint8_t(c)) & 0xFF];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xA282EAD8u;
}

std::string encode_event_file(std::span<const TensorBoardEvent> events) {
  ProtobufMessage version;
  version.add(1, events.empty() ? 0.0 : events.front().wall_time);
  version.add(3, "brain.Event:2");
  std::string file;
  append_record(file, version.bytes());
  for (const TensorBoardEvent& event : events) append_record(file, encode(event).bytes());
  return file;
}

void update_event_file(const std::filesystem::path& path,
                       std::span<const TensorBoardEvent> events) {
  const std::string wanted = encode_event_file(events);
  std::error_code error;
  const std::string there = std::filesystem::exists(path, error) ? read_text_file(path) : "";
  if (!there.empty() && wanted.starts_with(there)) {
    append_to_file(path, std::string_view(wanted).substr(there.size()));
  } else {
    write_file_atomically(path, wanted);
  }
}

}  // namespace ydistill
