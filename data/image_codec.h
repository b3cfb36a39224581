// SPDX-License-Identifier: MIT
// What image.cpp needs from the decoders. Internal: users call read_image.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ydistill/data/image.h>

namespace ydistill {

/// A JPEG's frame, from its markers (ITU T.81, annex B).
struct JpegHeader {
  int64_t width = 0;  ///< as stored, before orientation
  int64_t height = 0;
  int components = 0;     ///< 1 grey, 3 colour, 4 CMYK
  int orientation = 1;    ///< EXIF 1..8; 1 where there is none
  size_t scan_start = 0;  ///< first byte after the first scan's header
};

/// Reads the markers up to the first scan. Nothing if the bytes end before it.
/// throws FileError (naming `path`) for bytes that are no JPEG.
std::optional<JpegHeader> parse_jpeg_header(std::span<const uint8_t> bytes,
                                            const std::filesystem::path& path);
/// Whether the end marker exists, searching from scan_start on.
bool jpeg_reaches_end(std::span<const uint8_t> bytes, size_t scan_start);
/// Some versions of stb write past the end of a Huffman table with more than 256 codes.
/// throws FileError (naming `path`) for such a table, and for one that is truncated.
void check_jpeg_tables(std::span<const uint8_t> bytes, const std::filesystem::path& path);

/// The same picture without the header faults that decoders only warn about: stray bytes between
/// segments, an unknown JFIF version or Adobe transform. For a parsed header.
std::vector<uint8_t> with_plain_header(std::span<const uint8_t> bytes, const JpegHeader& header);

/// The big-endian number in `count` <= 4 bytes from `at` on, which must exist.
inline uint32_t big_endian(std::span<const uint8_t> bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | bytes[at + i];
  return value;
}

/// The orientation in the TIFF block of EXIF: 1..8, 1 where it is missing, malformed or out of
/// range.
int tiff_orientation(std::span<const uint8_t> tiff);

/// `count` bytes of a file from `at` on, fewer at its end; valid until the next call.
using ReadPiece = std::function<std::span<const uint8_t>(size_t at, size_t count)>;
/// Reads the chunks of a PNG to its end. Returns the EXIF orientation, 1 if there is none.
/// throws FileError (naming `path`) for a truncated file.
int png_orientation(const ReadPiece& piece, const std::filesystem::path& path);
/// throws FileError (naming `path`) if the checksum of a chunk of a complete PNG is wrong.
void check_png_sums(std::span<const uint8_t> bytes, const std::filesystem::path& path);

/// The picture turned upright; orientation as in EXIF, 1..8.
Image upright(Image image, int orientation);

// Decoders: RGB as stored, before orientation. `path` is for messages. Sizes were checked.
Image decode_turbojpeg(std::span<const uint8_t> bytes, const JpegHeader& header,
                       const std::filesystem::path& path);
Image decode_stb(std::span<const uint8_t> bytes, const std::filesystem::path& path);
/// Width and height of a PNG or BMP; nothing if the bytes are no such header or end too early.
std::optional<ImageInfo> probe_stb(std::span<const uint8_t> bytes, std::string& reason);

/// Checks of a BMP that stb omits. `bytes` are the first of `file_bytes`. throws FileError:
/// truncated, or no palette where one is needed.
void check_bmp(std::span<const uint8_t> bytes, size_t file_bytes, int64_t width, int64_t height,
               const std::filesystem::path& path);
/// A copy of a PNG or checked BMP with its palette padded with black, as other decoders read
/// colours beyond its end; empty if nothing is missing.
std::vector<uint8_t> with_whole_palette(std::span<const uint8_t> bytes, PictureFormat format);

// Encoders, into bytes.
std::string encode_jpeg_turbojpeg(const Image& image, int quality);
std::string encode_jpeg_stb(const Image& image, int quality);
std::string encode_png_stb(const Image& image);

/// throws FileError naming the file: empty, or more than kMaxPixels.
void check_picture_size(int64_t width, int64_t height, const std::filesystem::path& path);

}  // namespace ydistill
