// SPDX-License-Identifier: MIT
#include <turbojpeg.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ydistill/data/image_codec.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

using Handle = std::unique_ptr<void, int (*)(tjhandle)>;

Handle open_handle(tjhandle handle) {
  if (handle == nullptr) throw LibraryError("libjpeg-turbo: {}", tjGetErrorStr2(nullptr));
  return {handle, tjDestroy};
}

/// Warnings after which the pixels are still complete: stray bytes between segments, an unknown
/// version number. All others mean that part of the picture was made up; also stray bytes before a
/// restart marker, because they are the rest of a damaged interval.
bool is_harmless(std::string_view warning) {
  const size_t marker = warning.find("before marker 0x");
  if (warning.find("extraneous bytes") != std::string_view::npos) {
    const std::string_view code = warning.substr(std::min(marker, warning.size() - 1));
    return !(code.size() == 18 && code[16] == 'd' && code[17] >= '0' && code[17] <= '7');
  }
  return warning.find("revision number") != std::string_view::npos ||
         warning.find("Adobe color transform") != std::string_view::npos;
}

/// Fills the pixels. Returns the first warning, there may be more; empty: none.
/// throws FileError if it cannot be decoded.
std::string decode(std::span<const uint8_t> bytes, const JpegHeader& header,
                   std::vector<uint8_t>& pixels, const std::filesystem::path& path) {
  const Handle handle = open_handle(tjInitDecompress());
  // TJFLAG_LIMITSCANS refuses pictures that hide hours of work in thousands of scans.
  const int status = tjDecompress2(
      handle.get(), bytes.data(), static_cast<unsigned long>(bytes.size()), pixels.data(),
      int(header.width), 0, int(header.height), header.components == 4 ? TJPF_CMYK : TJPF_RGB,
      TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
  if (status == 0) return "";
  const std::string text = tjGetErrorStr2(handle.get());
  if (tjGetErrorCode(handle.get()) != TJERR_WARNING || !is_harmless(text)) {
    throw FileError("{}: cannot be decoded: {}", printable(path.string()), text);
  }
  return text;
}

/// Adobe writes CMYK inverted, so 255 is no ink: R = C K / 255.
void cmyk_to_rgb(const std::vector<uint8_t>& cmyk, std::vector<uint8_t>& rgb) {
  const size_t pixels = cmyk.size() / 4;
  rgb.resize(pixels * 3);
  for (size_t i = 0; i < pixels; ++i) {
    const int black = cmyk[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) rgb[3 * i + c] = uint8_t((cmyk[4 * i + c] * black + 127) / 255);
  }
}

}  // namespace

Image decode_turbojpeg(std::span<const uint8_t> bytes, const JpegHeader& header,
                       const std::filesystem::path& path) {
  const bool is_cmyk = header.components == 4;
  const int channels = is_cmyk ? 4 : 3;
  std::vector<uint8_t> pixels(size_t(header.width * header.height * channels));
  if (!decode(bytes, header, pixels, path).empty()) {
    // The library keeps only the first warning; a worse one may have followed.
    decode(with_plain_header(bytes, header), header, pixels, path);
  }
  Image image;
  image.width = header.width;
  image.height = header.height;
  if (is_cmyk) {
    cmyk_to_rgb(pixels, image.rgb);
  } else {
    image.rgb = std::move(pixels);
  }
  return image;
}

std::string encode_jpeg_turbojpeg(const Image& image, int quality) {
  const Handle handle = open_handle(tjInitCompress());
  unsigned char* bytes = nullptr;
  unsigned long count = 0;
  const int subsampling = quality > 90 ? TJSAMP_444 : TJSAMP_420;
  const int status =
      tjCompress2(handle.get(), image.rgb.data(), int(image.width), 0, int(image.height), TJPF_RGB,
                  &bytes, &count, subsampling, quality, TJFLAG_ACCURATEDCT);
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owner(bytes, tjFree);
  if (status != 0) throw LibraryError("libjpeg-turbo: {}", tjGetErrorStr2(handle.get()));
  return {reinterpret_cast<const char*>(bytes), count};
}

}  // namespace ydistill
