// SPDX-License-Identifier: MIT
// The chunks of a PNG (ISO/IEC 15948), read from arbitrary bytes. The decoder checks neither
// checksums nor eXIf.
#include <ydistill/data/image_codec.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace ydistill {
namespace {

constexpr size_t kSignature = 8, kChunkHead = 8, kChecksum = 4;

struct Chunk {
  size_t at = 0;      ///< position of its header: length, type
  size_t length = 0;  ///< of its data
  std::string type;
};

/// The chunk that begins there. throws FileError if the file ends in its header.
Chunk chunk_at(size_t at, const ReadPiece& piece, const std::filesystem::path& path) {
  const std::span<const uint8_t> head = piece(at, kChunkHead);
  if (head.size() < kChunkHead) {
    throw FileError("{}: the PNG is cut short: it has no end chunk", printable(path.string()));
  }
  return {at, big_endian(head, 0, 4), {head.begin() + 4, head.end()}};
}

/// CRC-32 of ISO 3309, as PNG has it.
uint32_t checksum(std::span<const uint8_t> bytes) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      table[i] = i;
      for (int bit = 0; bit < 8; ++bit) {
        table[i] = (table[i] & 1) != 0 ? 0xedb88320u ^ (table[i] >> 1) : table[i] >> 1;
      }
    }
    return table;
  }();
  uint32_t sum = 0xffffffffu;
  for (const uint8_t byte : bytes) sum = kTable[(sum ^ byte) & 0xff] ^ (sum >> 8);
  return ~sum;
}

}  // namespace

int png_orientation(const ReadPiece& piece, const std::filesystem::path& path) {
  int orientation = 1;
  for (size_t at = kSignature;;) {
    const Chunk chunk = chunk_at(at, piece, path);
    if (chunk.type == "IEND") return orientation;
    if (chunk.type == "eXIf") orientation = tiff_orientation(piece(at + kChunkHead, chunk.length));
    at += kChunkHead + chunk.length + kChecksum;
  }
}

void check_png_sums(std::span<const uint8_t> bytes, const std::filesystem::path& path) {
  const auto piece = [&](size_t at, size_t count) {
    at = std::min(at, bytes.size());
    return bytes.subspan(at, std::min(count, bytes.size() - at));
  };
  for (size_t at = kSignature;;) {
    const Chunk chunk = chunk_at(at, piece, path);
    if (chunk.type == "IEND") return;
    const std::span<const uint8_t> sum = piece(at + kChunkHead + chunk.length, kChecksum);
    // The checksum covers type and data.
    if (sum.size() == kChecksum &&
        checksum(piece(at + 4, 4 + chunk.length)) != big_endian(sum, 0, 4)) {
      throw FileError("{}: the PNG is damaged: the checksum of its chunk {} at byte {} is wrong",
                      printable(path.string()), printable(chunk.type), at);
    }
    at += kChunkHead + chunk.length + kChecksum;
  }
}

}  // namespace ydistill
