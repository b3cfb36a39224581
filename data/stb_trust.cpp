// SPDX-License-Identifier: MIT
// Checks that stb_image omits. Missing rows of a BMP (Windows GDI, BITMAPINFOHEADER) become zeros
// there, and missing palette colours become whatever is in memory.
#include <ydistill/data/image_codec.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

#include <algorithm>
#include <string_view>

namespace ydistill {
namespace {

constexpr size_t kBmpFileHeader = 14, kOs2Header = 12, kBmpBytesNeeded = 30;

uint32_t little_endian(std::span<const uint8_t> bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = count; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

/// The header of a BMP, from its first kBmpBytesNeeded bytes.
struct BmpHeader {
  explicit BmpHeader(std::span<const uint8_t> bytes)
      : pixels(little_endian(bytes, 10, 4)),
        size(little_endian(bytes, 14, 4)),
        bits(little_endian(bytes, size == kOs2Header ? 24 : 28, 2)) {}

  bool has_palette() const { return bits < 16; }
  /// Number of palette colours, from the offset of the pixels.
  int64_t colours() const { return (pixels - int64_t(kBmpFileHeader) - size) / 4; }

  int64_t pixels;  ///< where they begin
  int64_t size;    ///< of the second header, which follows the first
  int64_t bits;    ///< a pixel
};

/// A copy with `count` zeros at `at`.
std::vector<uint8_t> with_zeros(std::span<const uint8_t> bytes, size_t at, size_t count) {
  std::vector<uint8_t> out(bytes.begin(), bytes.end());
  out.insert(out.begin() + int64_t(at), count, 0);
  return out;
}

std::vector<uint8_t> bmp_with_whole_palette(std::span<const uint8_t> bytes) {
  const BmpHeader header(bytes);
  if (!header.has_palette() || header.colours() >= int64_t(1) << header.bits) return {};
  const size_t missing = size_t(4 * ((int64_t(1) << header.bits) - header.colours()));
  const size_t end = kBmpFileHeader + size_t(header.size + 4 * header.colours());
  std::vector<uint8_t> out = with_zeros(bytes, end, missing);
  const uint32_t pixels = uint32_t(header.pixels) + uint32_t(missing);
  for (size_t i = 0; i < 4; ++i) out[10 + i] = uint8_t(pixels >> (8 * i));
  return out;
}

/// PNG, 11.2: chunks of length, name, data and checksum. IHDR comes first, PLTE before IDAT.
std::vector<uint8_t> png_with_whole_palette(std::span<const uint8_t> bytes) {
  constexpr size_t kSignature = 8, kDepth = 24, kColourType = 25, kFrame = 12;
  if (bytes.size() <= kColourType || bytes[kColourType] != 3 || bytes[kDepth] > 8) return {};
  const size_t wanted = size_t(3) << bytes[kDepth];
  for (size_t at = kSignature; bytes.size() - at >= kFrame;) {
    const size_t length = big_endian(bytes, at, 4);
    if (length > bytes.size() - at - kFrame) return {};
    const auto is = [&](std::string_view name) {
      return std::equal(name.begin(), name.end(), bytes.begin() + int64_t(at) + 4);
    };
    if (is("IDAT") || (is("PLTE") && length >= wanted)) return {};
    if (is("PLTE")) {
      std::vector<uint8_t> out = with_zeros(bytes, at + 8 + length, wanted - length);
      for (size_t i = 0; i < 4; ++i) out[at + i] = uint8_t(wanted >> (24 - 8 * i));
      return out;
    }
    at += kFrame + length;
  }
  return {};
}

}  // namespace

void check_bmp(std::span<const uint8_t> bytes, size_t file_bytes, int64_t width, int64_t height,
               const std::filesystem::path& path) {
  const auto cut_short = [&](int64_t wanted) {
    throw FileError("{}: the BMP is cut short: it has {} bytes, {} wanted",
                    printable(path.string()), file_bytes, wanted);
  };
  if (bytes.size() < kBmpBytesNeeded) cut_short(int64_t(kBmpBytesNeeded));
  const BmpHeader header(bytes);
  if (header.has_palette() && header.size == int64_t(kOs2Header)) {
    throw FileError("{}: a BMP of OS/2 with a palette is not read, save it as a Windows BMP or PNG",
                    printable(path.string()));
  }
  if (header.has_palette() && header.colours() < 1) {
    throw FileError("{}: malformed picture: a BMP of {} bits a pixel without a palette",
                    printable(path.string()), header.bits);
  }
  // The last row may lack its padding to a multiple of four bytes.
  const int64_t row = (width * header.bits + 31) / 32 * 4;
  const int64_t wanted = header.pixels + row * (height - 1) + (width * header.bits + 7) / 8;
  if (int64_t(file_bytes) < wanted) cut_short(wanted);
}

std::vector<uint8_t> with_whole_palette(std::span<const uint8_t> bytes, PictureFormat format) {
  if (format == PictureFormat::kBmp) return bmp_with_whole_palette(bytes);
  if (format == PictureFormat::kPng) return png_with_whole_palette(bytes);
  return {};
}

}  // namespace ydistill
