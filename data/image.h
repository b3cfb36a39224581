// SPDX-License-Identifier: MIT
// Image files: reads JPEG, PNG and BMP, writes JPEG and PNG.
//
// JPEG is decoded by libjpeg-turbo if it is built in (YDISTILL_TURBOJPEG), with the accurate
// inverse transform and smooth upsampling, which gives the pixels of OpenCV; else by stb_image,
// which differs by 1-2 grey levels. PNG and BMP are decoded by stb_image.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace ydistill {

/// A picture: rows from the top, in each row pixels from the left, each red, green, blue.
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;  ///< [height, width, 3]

  static Image filled(int64_t width, int64_t height, uint8_t level);
  const uint8_t* at(int64_t x, int64_t y) const { return rgb.data() + (y * width + x) * 3; }
  uint8_t* at(int64_t x, int64_t y) { return rgb.data() + (y * width + x) * 3; }
};

/// A picture that is not owned: the bytes are not copied and must outlive the view.
struct ImageView {
  int64_t width = 0;
  int64_t height = 0;
  std::span<const uint8_t> rgb = {};  ///< [height, width, 3]

  ImageView() = default;
  ImageView(int64_t w, int64_t h, std::span<const uint8_t> bytes)
      : width(w), height(h), rgb(bytes) {}
  /// Implicit: an Image can be passed as a view.
  ImageView(const Image& image) : ImageView(image.width, image.height, image.rgb) {}
  const uint8_t* at(int64_t x, int64_t y) const { return rgb.data() + (y * width + x) * 3; }
};

enum class PictureFormat { kJpeg, kPng, kBmp };

/// What is known about a picture without decoding it.
struct ImageInfo {
  int64_t width = 0;                            ///< after orientation, as of read_image
  int64_t height = 0;                           ///< after orientation
  PictureFormat format = PictureFormat::kJpeg;  ///< detected from the content
};

/// Pictures of more pixels are refused before memory is allocated.
inline constexpr int64_t kMaxPixels = int64_t(1) << 28;

/// Reads a picture as upright RGB. The format is detected from the first bytes, not the name. Grey
/// becomes R = G = B, CMYK becomes RGB (inverted, as Adobe writes it), 16 bits become 8, alpha is
/// dropped. The EXIF orientation 1..8 of a JPEG or PNG is applied.
/// throws FileError naming the file: missing, of another format, malformed, truncated, too large,
/// or a PNG with wrong checksums.
Image read_image(const std::filesystem::path& path);

/// The same checks of the headers, and whether a JPEG or PNG is truncated; decodes no pixels.
/// throws FileError.
ImageInfo probe_image(const std::filesystem::path& path);

/// The longest side of a JPEG file, in pixels.
inline constexpr int64_t kMaxJpegSide = 65500;

/// quality 1..100. The file is written atomically.
/// throws ValueError for an empty picture or a quality out of range, FileError if the file cannot
/// be written.
void write_jpeg(const std::filesystem::path& path, const Image& image, int quality = 95);
/// The bytes of the file that write_jpeg writes. throws ValueError.
std::string encode_jpeg(const Image& image, int quality = 95);
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace ydistill
