// SPDX-License-Identifier: MIT
#include "pictures.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include <ydistill/tensor/random.h>

#include "support/files.h"

namespace ydistill::test {

Image slope(int64_t width, int64_t height) {
  Image image = Image::filled(width, height, 0);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t right = 255 * x / std::max<int64_t>(width - 1, 1);
      const int64_t down = 255 * y / std::max<int64_t>(height - 1, 1);
      image.at(x, y)[0] = uint8_t(right);
      image.at(x, y)[1] = uint8_t(down);
      image.at(x, y)[2] = uint8_t(255 - (right + down) / 2);
    }
  }
  return image;
}

Image noise(int64_t width, int64_t height, uint64_t seed) {
  Image image = Image::filled(width, height, 0);
  Rng rng(seed);
  for (uint8_t& level : image.rgb) level = uint8_t(rng.below(256));
  return image;
}

Difference difference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  if (a.size() != b.size() || a.empty()) return {256, 256};
  Difference d;
  for (size_t i = 0; i < a.size(); ++i) {
    const int levels = std::abs(int(a[i]) - int(b[i]));
    d.largest = std::max(d.largest, levels);
    d.mean += levels;
  }
  d.mean /= double(a.size());
  return d;
}

namespace {

/// A TIFF block with this orientation.
std::string tiff_of(int orientation, bool little_endian) {
  std::string tiff = little_endian ? "II" : "MM";
  const auto put = [&](uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      tiff += char(value >> (8 * (little_endian ? i : bytes - 1 - i)) & 255);
    }
  };
  put(42, 2);
  put(8, 4);       // the directory follows
  put(2, 2);       // two entries
  put(0x010f, 2);  // maker: text of 4 bytes in place
  put(2, 2);
  put(4, 4);
  tiff += std::string("abc\0", 4);
  put(0x0112, 2);  // orientation: one short in place
  put(3, 2);
  put(1, 4);
  put(uint32_t(orientation), 2);
  put(0, 2);
  put(0, 4);  // no further directory
  return tiff;
}

/// A chunk of a PNG.
std::string chunk(const std::string& type, const std::string& data) {
  const auto number = [](uint32_t value) {
    return std::string{char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
  };
  uint32_t sum = ~0u;
  for (const char c : type + data) {
    sum ^= uint8_t(c);
    for (int bit = 0; bit < 8; ++bit) sum = (sum & 1) != 0 ? 0xedb88320u ^ (sum >> 1) : sum >> 1;
  }
  return number(uint32_t(data.size())) + type + data + number(~sum);
}

}  // namespace

std::string with_orientation(const std::string& jpeg, int orientation, bool little_endian) {
  const std::string body = std::string("Exif\0\0", 6) + tiff_of(orientation, little_endian);
  const size_t length = body.size() + 2;
  const std::string segment =
      std::string("\xff\xe1") + char(length >> 8) + char(length & 255) + body;
  return jpeg.substr(0, 2) + segment + jpeg.substr(2);
}

std::string with_orientation_png(const std::string& png, int orientation, ExifPlace place) {
  const size_t behind_header = 8 + 12 + 13, end_chunk = 12;
  const size_t at = place == ExifPlace::kFirst ? behind_header : png.size() - end_chunk;
  return png.substr(0, at) + chunk("eXIf", tiff_of(orientation, true)) + png.substr(at);
}

void write_yolo_set(const std::filesystem::path& folder,
                    const std::vector<std::pair<int64_t, int64_t>>& sizes) {
  std::filesystem::create_directories(folder / "images");
  for (size_t i = 0; i < sizes.size(); ++i) {
    write_png(folder / "images" / fmt::format("{}.png", i),
              noise(sizes[i].first, sizes[i].second, i));
    write_file(folder / "labels" / fmt::format("{}.txt", i),
               fmt::format("{} 0.5 0.4 0.5 0.6\n", i));
  }
}

std::string all_findings(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) text += finding.str() + "\n";
  return text;
}

std::string bytes_of(const Batch& batch) {
  std::string bytes = batch.images.str() + batch.targets.str();
  for (const Tensor& t : {batch.images, batch.targets}) {
    bytes.append(reinterpret_cast<const char*>(t.raw()), size_t(t.nbytes()));
  }
  for (const int64_t index : batch.indices) bytes += fmt::format(" {}", index);
  for (const uint8_t flag : batch.labelled) bytes += fmt::format(" {}", flag);
  for (const Letterbox& b : batch.letterboxes) {
    bytes +=
        fmt::format(" {} {} {} {} {} {}", b.ratio_x, b.ratio_y, b.pad_x, b.pad_y, b.left, b.top);
  }
  return bytes;
}

}  // namespace ydistill::test
