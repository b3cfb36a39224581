// SPDX-License-Identifier: MIT
// The markers of a JPEG (ITU T.81, annex B) and the orientation in its EXIF block (Exif 2.3, TIFF
// 6.0), read from bytes that may be anything.
#include <ydistill/data/image_codec.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace ydistill {
namespace {

constexpr uint8_t kStartOfImage = 0xd8, kEndOfImage = 0xd9, kStartOfScan = 0xda, kApp1 = 0xe1,
                  kHuffmanTables = 0xc4;

bool is_restart(uint8_t marker) {
  return marker >= 0xd0 && marker <= 0xd7;
}

/// SOF0..SOF15 without DHT, JPG and DAC, which share the range.
bool is_frame(uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/// Where the next marker's second byte is, from `at` on: inside a scan a stuffed zero, a fill byte
/// or a restart is none. Between scans there are segments, which are to be stepped over because
/// their bytes may look like markers.
std::optional<size_t> next_marker(std::span<const uint8_t> bytes, size_t at) {
  while (at + 1 < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, 0xff, bytes.size() - 1 - at);
    if (found == nullptr) return std::nullopt;
    at = size_t(static_cast<const uint8_t*>(found) - bytes.data()) + 1;
    const uint8_t marker = bytes[at];
    if (marker != 0 && marker != 0xff && !is_restart(marker)) return at;
  }
  return std::nullopt;
}

}  // namespace

int tiff_orientation(std::span<const uint8_t> tiff) {
  constexpr uint32_t kOrientation = 0x0112, kShort = 3, kEntryBytes = 12;
  if (tiff.size() < 8) return 1;
  const bool little = tiff[0] == 'I' && tiff[1] == 'I';
  if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
  const auto number = [&](size_t at, size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      value = value << 8 | tiff[little ? at + count - 1 - i : at + i];
    }
    return value;
  };
  if (number(2, 2) != 42) return 1;
  const size_t directory = number(4, 4);
  if (directory > tiff.size() - 2) return 1;
  const size_t entries =
      std::min<size_t>(number(directory, 2), (tiff.size() - directory - 2) / kEntryBytes);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (number(entry, 2) != kOrientation || number(entry + 2, 2) != kShort) continue;
    const uint32_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

std::optional<JpegHeader> parse_jpeg_header(std::span<const uint8_t> bytes,
                                            const std::filesystem::path& path) {
  constexpr uint8_t kExif[6] = {'E', 'x', 'i', 'f', 0, 0};
  JpegHeader header;
  if (bytes.size() < 2) return std::nullopt;
  if (bytes[0] != 0xff || bytes[1] != kStartOfImage) {
    throw FileError("{}: no JPEG: it does not begin with ff d8", printable(path.string()));
  }
  size_t at = 2;
  for (;;) {
    // Before a marker there may be fill bytes; decoders also skip stray ones.
    while (at < bytes.size() && bytes[at] != 0xff) ++at;
    while (at < bytes.size() && bytes[at] == 0xff) ++at;
    if (at >= bytes.size()) return std::nullopt;
    const uint8_t marker = bytes[at++];
    if (marker == 0 || marker == 1 || marker == kStartOfImage || is_restart(marker)) continue;
    if (marker == kEndOfImage) {
      throw FileError("{}: malformed JPEG: it ends before its first scan",
                      printable(path.string()));
    }
    if (at + 2 > bytes.size()) return std::nullopt;
    const size_t length = big_endian(bytes, at, 2);
    if (length < 2) {
      throw FileError("{}: malformed JPEG: segment {:02x} has length {}, at least 2 wanted",
                      printable(path.string()), marker, length);
    }
    if (at + length > bytes.size()) return std::nullopt;
    const std::span<const uint8_t> segment = bytes.subspan(at + 2, length - 2);
    at += length;
    if (is_frame(marker)) {
      if (segment.size() < 6) {
        throw FileError("{}: malformed JPEG: a frame header of {} bytes", printable(path.string()),
                        segment.size());
      }
      header.height = big_endian(segment, 1, 2);
      header.width = big_endian(segment, 3, 2);
      header.components = segment[5];
    } else if (marker == kApp1 && segment.size() > sizeof kExif &&
               std::equal(std::begin(kExif), std::end(kExif), segment.begin())) {
      header.orientation = tiff_orientation(segment.subspan(sizeof kExif));
    } else if (marker == kStartOfScan) {
      if (header.components == 0) {
        throw FileError("{}: malformed JPEG: a scan without a frame header",
                        printable(path.string()));
      }
      header.scan_start = at;
      return header;
    }
  }
}

std::vector<uint8_t> with_plain_header(std::span<const uint8_t> bytes, const JpegHeader& header) {
  constexpr uint8_t kApp0 = 0xe0, kApp14 = 0xee;
  constexpr std::string_view kJfif("JFIF\0", 5), kAdobe("Adobe");
  std::vector<uint8_t> plain(bytes.begin(), bytes.begin() + 2);
  for (size_t at = 2; at < header.scan_start;) {
    while (bytes[at] != 0xff) ++at;
    while (bytes[at] == 0xff) ++at;
    const uint8_t marker = bytes[at++];
    if (marker == 0 || marker == 1 || marker == kStartOfImage || is_restart(marker)) continue;
    const size_t length = big_endian(bytes, at, 2), begin = plain.size();
    plain.insert(plain.end(), {0xff, marker});
    plain.insert(plain.end(), bytes.begin() + std::ptrdiff_t(at),
                 bytes.begin() + std::ptrdiff_t(at + length));
    at += length;
    uint8_t* const segment = plain.data() + begin + 4;
    const auto is = [&](uint8_t wanted, std::string_view name, size_t least) {
      return marker == wanted && length - 2 >= least &&
             std::equal(name.begin(), name.end(), segment);
    };
    if (is(kApp0, kJfif, 7)) segment[5] = 1;
    if (is(kApp14, kAdobe, 12)) {
      const uint8_t assumed = header.components == 4 ? 2 : 1;  // as decoders do
      if (segment[11] != 0) segment[11] = assumed;
    }
  }
  plain.insert(plain.end(), bytes.begin() + std::ptrdiff_t(header.scan_start), bytes.end());
  return plain;
}

bool jpeg_reaches_end(std::span<const uint8_t> bytes, size_t scan_start) {
  size_t at = scan_start;
  while (const std::optional<size_t> marker = next_marker(bytes, at)) {
    if (bytes[*marker] == kEndOfImage) return true;
    if (*marker + 3 > bytes.size()) return false;
    at = *marker + 1 + std::max<size_t>(big_endian(bytes, *marker + 1, 2), 2);
  }
  return false;
}

void check_jpeg_tables(std::span<const uint8_t> bytes, const std::filesystem::path& path) {
  constexpr size_t kNumbers = 17, kMostCodes = 256;  // class and number, then codes of 1..16 bits
  size_t at = 2;
  while (const std::optional<size_t> marker = next_marker(bytes, at)) {
    if (bytes[*marker] == kEndOfImage || *marker + 3 > bytes.size()) return;
    const size_t begin = *marker + 3;
    at = *marker + 1 + std::max<size_t>(big_endian(bytes, *marker + 1, 2), 2);
    if (bytes[*marker] != kHuffmanTables) continue;
    const size_t end = std::min(at, bytes.size());
    for (size_t table = begin; table < end;) {
      if (end - table < kNumbers) {
        throw FileError("{}: malformed JPEG: a Huffman table of {} bytes, {} or more wanted",
                        printable(path.string()), end - table, kNumbers);
      }
      size_t codes = 0;
      for (size_t i = 1; i < kNumbers; ++i) codes += bytes[table + i];
      if (codes > kMostCodes) {
        throw FileError("{}: malformed JPEG: a Huffman table of {} codes, at most {} wanted",
                        printable(path.string()), codes, kMostCodes);
      }
      table += kNumbers + codes;
    }
  }
}

Image upright(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool swaps = orientation >= 5;
  const bool flips_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flips_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out;
  out.width = swaps ? image.height : image.width;
  out.height = swaps ? image.width : image.height;
  out.rgb.resize(image.rgb.size());
  for (int64_t y = 0; y < out.height; ++y) {
    uint8_t* to = out.at(0, y);
    for (int64_t x = 0; x < out.width; ++x, to += 3) {
      const int64_t from_x = swaps ? y : x;
      const int64_t from_y = swaps ? x : y;
      std::copy_n(image.at(flips_x ? image.width - 1 - from_x : from_x,
                           flips_y ? image.height - 1 - from_y : from_y),
                  3, to);
    }
  }
  return out;
}

}  // namespace ydistill
