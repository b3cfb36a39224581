// SPDX-License-Identifier: MIT
#include <ydistill/data/image.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <ydistill/data/image_codec.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

using Format = PictureFormat;

/// A picture file, read from the start as far as needed.
class PictureFile {
 public:
  explicit PictureFile(const std::filesystem::path& path) : path_(path) {
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) fail("no such picture");
    if (!std::filesystem::is_regular_file(status)) fail("not a file");
    size_ = std::filesystem::file_size(path, error);
    if (error) fail("cannot be read: " + error.message());
    stream_.open(path, std::ios::binary);
    if (!stream_) fail("cannot be opened");
    read(kFirstBytes);
    if (bytes_.empty()) fail("is empty");
  }

  size_t size() const { return size_; }
  bool has_all() const { return bytes_.size() >= size_; }
  void read_all() { read(size_); }
  std::span<const uint8_t> bytes() const { return bytes_; }

  /// `count` bytes from `at` on, fewer at the end, without reading the bytes before.
  std::span<const uint8_t> piece(size_t at, size_t count) {
    at = std::min(at, size_);
    count = std::min(count, size_ - at);
    if (at + count <= bytes_.size()) return bytes().subspan(at, count);
    piece_.resize(count);
    stream_.clear();
    stream_.seekg(std::streamoff(at));
    stream_.read(reinterpret_cast<char*>(piece_.data()), std::streamsize(count));
    if (size_t(stream_.gcount()) != count) fail("cannot be read to its end");
    return piece_;
  }
  bool ends_with(std::array<uint8_t, 2> wanted) {
    return size_ >= 2 && std::ranges::equal(piece(size_ - 2, 2), wanted);
  }

  Format format() const {
    constexpr std::array<uint8_t, 4> kPng{0x89, 'P', 'N', 'G'};
    const auto starts_with = [&](std::span<const uint8_t> magic) {
      return bytes_.size() >= magic.size() &&
             std::equal(magic.begin(), magic.end(), bytes_.begin());
    };
    if (starts_with(std::array<uint8_t, 2>{0xff, 0xd8})) return Format::kJpeg;
    if (starts_with(kPng)) return Format::kPng;
    if (starts_with(std::array<uint8_t, 2>{'B', 'M'})) return Format::kBmp;
    fail("is no JPEG, PNG or BMP picture");
  }

 private:
  static constexpr size_t kFirstBytes = size_t(1) << 16;

  void read(size_t wanted) {
    wanted = std::min<size_t>(wanted, size_);
    const size_t have = bytes_.size();
    if (wanted <= have) return;
    bytes_.resize(wanted);
    stream_.clear();
    stream_.seekg(std::streamoff(have));
    stream_.read(reinterpret_cast<char*>(bytes_.data() + have), std::streamsize(wanted - have));
    if (size_t(stream_.gcount()) != wanted - have) fail("cannot be read to its end");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw FileError("{}: {}", printable(path_.string()), what);
  }

  const std::filesystem::path& path_;
  std::ifstream stream_;
  size_t size_ = 0;
  std::vector<uint8_t> bytes_, piece_;
};

/// Refuses a small file that claims a large picture: each 8x8 block of a JPEG takes at least a bit,
/// and the components together have at least half as many blocks as the picture. Arithmetic coding
/// can need less, so such a picture is accepted only up to a number of free pixels.
void check_jpeg_bytes(const PictureFile& file, const JpegHeader& header,
                      const std::filesystem::path& path) {
  constexpr int64_t kFreePixels = int64_t(1) << 22, kPixelsPerByte = 2 * 64 * 8;
  const int64_t pixels = header.width * header.height;
  const int64_t wanted = (pixels - kFreePixels) / kPixelsPerByte;
  if (int64_t(file.size()) < wanted) {
    throw FileError("{}: the JPEG is cut short: {}x{} pixels in {} bytes, {} or more wanted",
                    printable(path.string()), header.width, header.height, file.size(), wanted);
  }
}

/// Checks the headers; reads the whole file only if the first part is not enough.
JpegHeader check_jpeg(PictureFile& file, const std::filesystem::path& path) {
  std::optional<JpegHeader> header = parse_jpeg_header(file.bytes(), path);
  if (!header && !file.has_all()) {
    file.read_all();
    header = parse_jpeg_header(file.bytes(), path);
  }
  const auto is_whole = [&] {
    if (!header) return false;
    if (file.ends_with({0xff, 0xd9})) return true;
    file.read_all();  // bytes after the end marker are common
    return jpeg_reaches_end(file.bytes(), header->scan_start);
  };
  if (!is_whole()) {
    throw FileError("{}: the JPEG is cut short: it has no end marker", printable(path.string()));
  }
  check_picture_size(header->width, header->height, path);
  check_jpeg_bytes(file, *header, path);
  return *header;
}

/// Width and height of a PNG, whose first chunk begins at byte 8; nothing for other bytes.
std::optional<ImageInfo> png_size(std::span<const uint8_t> bytes) {
  constexpr std::string_view kHeader = "IHDR";
  if (bytes.size() < 24 || !std::equal(kHeader.begin(), kHeader.end(), bytes.begin() + 12)) {
    return std::nullopt;
  }
  return ImageInfo{big_endian(bytes, 16, 4), big_endian(bytes, 20, 4)};
}

ImageInfo check_stb(PictureFile& file, const std::filesystem::path& path) {
  if (const std::optional<ImageInfo> size = png_size(file.bytes())) {
    check_picture_size(size->width, size->height, path);  // stb would only say "unknown type"
  }
  std::string reason;
  std::optional<ImageInfo> info = probe_stb(file.bytes(), reason);
  if (!info && !file.has_all()) {
    file.read_all();
    info = probe_stb(file.bytes(), reason);
  }
  if (!info) throw FileError("{}: malformed picture: {}", printable(path.string()), reason);
  check_picture_size(info->width, info->height, path);
  if (file.format() == Format::kBmp) {
    check_bmp(file.bytes(), file.size(), info->width, info->height, path);
  }
  return *info;
}

int orientation_of_png(PictureFile& file, const std::filesystem::path& path) {
  return png_orientation([&](size_t at, size_t count) { return file.piece(at, count); }, path);
}

ImageInfo upright(ImageInfo stored, int orientation) {
  if (orientation >= 5) std::swap(stored.width, stored.height);
  return stored;
}

void check_writable(const Image& image, const char* what) {
  if (image.width < 1 || image.height < 1 || image.width * image.height > kMaxPixels ||
      int64_t(image.rgb.size()) != image.width * image.height * 3) {
    throw ValueError("{}: a picture of {}x{} pixels with {} bytes", what, image.width, image.height,
                     image.rgb.size());
  }
}

}  // namespace

void check_picture_size(int64_t width, int64_t height, const std::filesystem::path& path) {
  if (width < 1 || height < 1) {
    throw FileError("{}: a picture of {}x{} pixels", printable(path.string()), width, height);
  }
  if (width > kMaxPixels / height) {
    throw FileError("{}: {}x{} pixels, at most {} are read", printable(path.string()), width,
                    height, kMaxPixels);
  }
}

Image Image::filled(int64_t width, int64_t height, uint8_t level) {
  Image image;
  image.width = width;
  image.height = height;
  image.rgb.assign(size_t(width * height * 3), level);
  return image;
}

Image read_image(const std::filesystem::path& path) {
  PictureFile file(path);
  const Format format = file.format();
  if (format != Format::kJpeg) {
    check_stb(file, path);
    file.read_all();
    int orientation = 1;
    if (format == Format::kPng) {
      orientation = orientation_of_png(file, path);
      check_png_sums(file.bytes(), path);
    }
    const std::vector<uint8_t> whole = with_whole_palette(file.bytes(), format);
    return upright(decode_stb(whole.empty() ? file.bytes() : whole, path), orientation);
  }
  const JpegHeader header = check_jpeg(file, path);
  file.read_all();
#ifdef YDISTILL_TURBOJPEG
  Image image = decode_turbojpeg(file.bytes(), header, path);
#else
  check_jpeg_tables(file.bytes(), path);
  Image image = decode_stb(file.bytes(), path);
#endif
  return upright(std::move(image), header.orientation);
}

ImageInfo probe_image(const std::filesystem::path& path) {
  PictureFile file(path);
  const Format format = file.format();
  if (format != Format::kJpeg) {
    const ImageInfo info = check_stb(file, path);
    return upright({info.width, info.height, format},
                   format == Format::kPng ? orientation_of_png(file, path) : 1);
  }
  const JpegHeader header = check_jpeg(file, path);
  return upright({header.width, header.height, format}, header.orientation);
}

std::string encode_jpeg(const Image& image, int quality) {
  check_writable(image, "write_jpeg");
  if (quality < 1 || quality > 100) {
    throw ValueError("write_jpeg: quality {}, 1 to 100 wanted", quality);
  }
  if (std::max(image.width, image.height) > kMaxJpegSide) {
    throw ValueError("write_jpeg: {}x{} pixels, a JPEG holds {} a side", image.width, image.height,
                     kMaxJpegSide);
  }
#ifdef YDISTILL_TURBOJPEG
  return encode_jpeg_turbojpeg(image, quality);
#else
  return encode_jpeg_stb(image, quality);
#endif
}

void write_jpeg(const std::filesystem::path& path, const Image& image, int quality) {
  write_file_atomically(path, encode_jpeg(image, quality));
}

void write_png(const std::filesystem::path& path, const Image& image) {
  check_writable(image, "write_png");
  write_file_atomically(path, encode_png_stb(image));
}

}  // namespace ydistill
