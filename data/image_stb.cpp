// SPDX-License-Identifier: MIT
// The only place that compiles stb_image and stb_image_write, with internal linkage, so that a
// program with its own copy can link both. Compiled without warnings because of theirs.
//
// Its memory is initialised to zero: for malformed files (a distance of 0 in a PNG, a JPEG without
// tables) it reads bytes that it never wrote, and the picture must not depend on old content.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS (1 << 28)
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC_SIZED zeroed_realloc
#define STBI_FREE std::free
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <cstdlib>
#include <cstring>

static void* zeroed_realloc(void* old, size_t old_size, size_t size) {
  void* const grown = std::realloc(old, size);
  if (grown != nullptr && size > old_size) {
    std::memset(static_cast<char*>(grown) + old_size, 0, size - old_size);
  }
  return grown;
}

#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <limits>
#include <memory>
#include <new>

#include <ydistill/data/image_codec.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

int size_for_stb(std::span<const uint8_t> bytes) {
  return int(std::min<size_t>(bytes.size(), size_t(std::numeric_limits<int>::max())));
}

/// Buffer for bytes of the file where a chunk of a PNG is not known.
std::string failure_reason() {
  return printable(stbi_failure_reason(), 80);
}

void append(void* context, void* bytes, int count) {
  static_cast<std::string*>(context)->append(static_cast<const char*>(bytes), size_t(count));
}

}  // namespace

Image decode_stb(std::span<const uint8_t> bytes, const std::filesystem::path& path) {
  int width = 0, height = 0, channels = 0;
  stbi__err("outofmem", "");  // what it says nothing about
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), size_for_stb(bytes), &width, &height, &channels, 3),
      stbi_image_free);
  if (!pixels) {
    if (std::strcmp(stbi_failure_reason(), "outofmem") == 0) throw std::bad_alloc();
    throw FileError("{}: cannot be decoded: {}", printable(path.string()), failure_reason());
  }
  Image image;
  image.width = width;
  image.height = height;
  image.rgb.assign(pixels.get(), pixels.get() + int64_t(width) * height * 3);
  return image;
}

std::optional<ImageInfo> probe_stb(std::span<const uint8_t> bytes, std::string& reason) {
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(bytes.data(), size_for_stb(bytes), &width, &height, &channels)) {
    reason = failure_reason();
    return std::nullopt;
  }
  // A BMP stored from the top row has a negative height, which stb returns unchanged.
  return ImageInfo{width, std::abs(int64_t(height))};
}

std::string encode_jpeg_stb(const Image& image, int quality) {
  std::string bytes;
  if (!stbi_write_jpg_to_func(append, &bytes, int(image.width), int(image.height), 3,
                              image.rgb.data(), quality)) {
    throw LibraryError("stb_image_write: no JPEG from {}x{} pixels", image.width, image.height);
  }
  return bytes;
}

std::string encode_png_stb(const Image& image) {
  std::string bytes;
  if (!stbi_write_png_to_func(append, &bytes, int(image.width), int(image.height), 3,
                              image.rgb.data(), int(image.width * 3))) {
    throw LibraryError("stb_image_write: no PNG from {}x{} pixels", image.width, image.height);
  }
  return bytes;
}

}  // namespace ydistill
