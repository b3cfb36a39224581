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

template <class T>
void append_little_endian(std::string& to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) to += char(uint8_t(value >> (8 * i)));
}

// Protobuf's wire format. A field's key is its number and its wire type.
enum class Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void append_varint(std::string& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += char(uint8_t(value) | 0x80);
  to += char(uint8_t(value));
}
void append_key(std::string& to, int field, Wire wire) {
  append_varint(to, uint64_t(field) << 3 | uint64_t(wire));
}
void append_varint_field(std::string& to, int field, int64_t value) {
  append_key(to, field, Wire::kVarint);
  append_varint(to, uint64_t(value));
}
void append_bytes_field(std::string& to, int field, std::string_view bytes) {
  append_key(to, field, Wire::kBytes);
  append_varint(to, bytes.size());
  to += bytes;
}
void append_double_field(std::string& to, int field, double value) {
  append_key(to, field, Wire::kFixed64);
  append_little_endian(to, std::bit_cast<uint64_t>(value));
}
void append_float_field(std::string& to, int field, float value) {
  append_key(to, field, Wire::kFixed32);
  append_little_endian(to, std::bit_cast<uint32_t>(value));
}

void append_record(std::string& to, const std::string& data) {
  std::string length;
  append_little_endian(length, uint64_t(data.size()));
  to += length;
  append_little_endian(to, masked_crc32c(length));
  to += data;
  append_little_endian(to, masked_crc32c(data));
}

std::string encode(const ScalarSummary& scalar) {
  std::string value;
  append_bytes_field(value, 1, scalar.tag);
  append_float_field(value, 2, float(scalar.value));
  return value;
}

std::string encode(const ImageSummary& image) {
  constexpr int kRgb = 3;
  std::string picture;
  append_varint_field(picture, 1, image.height);
  append_varint_field(picture, 2, image.width);
  append_varint_field(picture, 3, kRgb);
  append_bytes_field(picture, 4, image.file);
  std::string value;
  append_bytes_field(value, 1, image.tag);
  append_bytes_field(value, 4, picture);
  return value;
}

std::string encode(const TensorBoardEvent& event) {
  std::string summary;
  for (const ScalarSummary& scalar : event.scalars) append_bytes_field(summary, 1, encode(scalar));
  for (const ImageSummary& image : event.images) append_bytes_field(summary, 1, encode(image));
  std::string data;
  append_double_field(data, 1, event.wall_time);
  append_varint_field(data, 2, event.step);
  append_bytes_field(data, 5, summary);
  return data;
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
  std::string version;
  append_double_field(version, 1, events.empty() ? 0.0 : events.front().wall_time);
  append_bytes_field(version, 3, "brain.Event:2");
  std::string file;
  append_record(file, version);
  for (const TensorBoardEvent& event : events) append_record(file, encode(event));
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
