// SPDX-License-Identifier: MIT
// Image files: JPEG, PNG and BMP in, JPEG and PNG out.
//
// JPEG is decoded by libjpeg-turbo where it is built in (YDISTILL_TURBOJPEG), with the accurate
// inverse transform and smooth upsampling, which is what OpenCV shows; else by stb_image, which
// differs by 1-2 grey levels. PNG and BMP are stb_image's.
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

/// The same seen, not owned: the bytes stay where they are and must outlive the view.
struct ImageView {
  int64_t width = 0;
  int64_t height = 0;
  std::span<const uint8_t> rgb = {};  ///< [height, width, 3]

  ImageView() = default;
  ImageView(int64_t w, int64_t h, std::span<const uint8_t> bytes)
      : width(w), height(h), rgb(bytes) {}
  /// Any picture is seen where a view is wanted.
  ImageView(const Image& image) : ImageView(image.width, image.height, image.rgb) {}
  const uint8_t* at(int64_t x, int64_t y) const { return rgb.data() + (y * width + x) * 3; }
};

enum class PictureFormat { kJpeg, kPng, kBmp };

/// What is known about a picture without decoding it.
struct ImageInfo {
  int64_t width = 0;   ///< after orientation: of the picture that read_image gives
  int64_t height = 0;  ///< after orientation
  PictureFormat format = PictureFormat::kJpeg;  ///< by its content
};

/// Pictures of more pixels are refused before any memory is asked for.
inline constexpr int64_t kMaxPixels = int64_t(1) << 28;

/// Reads a picture as upright RGB. The format is told by the first bytes, not by the name. Grey
/// becomes R = G = B, CMYK becomes RGB (inverted, as Adobe writes it), 16 bits become 8, alpha is
/// dropped. The EXIF orientation 1..8 of a JPEG or PNG is applied.
/// throws FileError naming the file: missing, of another format, malformed, cut short, too large,
/// or a PNG whose checksums are wrong.
Image read_image(const std::filesystem::path& path);

/// The same checks as far as headers go, and whether a JPEG or PNG is cut short; decodes nothing.
/// throws FileError.
ImageInfo probe_image(const std::filesystem::path& path);

/// quality 1..100. The file is replaced whole or not at all.
/// throws ValueError for an empty picture or a quality outside its range, FileError where the file
/// cannot be written.
void write_jpeg(const std::filesystem::path& path, const Image& image, int quality = 95);
/// The bytes of the file that write_jpeg writes. throws ValueError.
std::string encode_jpeg(const Image& image, int quality = 95);
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace ydistill
