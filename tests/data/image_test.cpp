// SPDX-License-Identifier: MIT
#include <ydistill/data/image.h>

#include <array>

#include "data/picture_bytes.h"
#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

Image read_bytes(const std::string& bytes) {
  const TempDir dir;
  write_file(dir / "picture", bytes);
  const Image image = read_image(dir / "picture");
  const ImageInfo info = probe_image(dir / "picture");
  CHECK(info.width == image.width);
  CHECK(info.height == image.height);
  CHECK(int64_t(image.rgb.size()) == image.width * image.height * 3);
  return image;
}

std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += char(value >> (8 * i) & 255);
  return text;
}

/// The two headers of a BMP; `palette` bytes stand between them and `pixels` bytes.
std::string bmp_headers(int64_t width, int64_t height, uint32_t bits, size_t palette,
                        size_t pixels) {
  const uint32_t begin = uint32_t(54 + palette);
  return "BM" + little_endian(begin + uint32_t(pixels), 4) + little_endian(0, 4) +
         little_endian(begin, 4) + little_endian(40, 4) + little_endian(uint32_t(width), 4) +
         little_endian(uint32_t(height), 4) + little_endian(1, 2) + little_endian(bits, 2) +
         little_endian(0, 4) + little_endian(uint32_t(pixels), 4) + little_endian(2835, 4) +
         little_endian(2835, 4) + little_endian(0, 4) + little_endian(0, 4);
}

/// An uncompressed BMP of 24 bits, rows from the bottom and padded to 4 bytes.
std::string bmp_of(const Image& image) {
  std::string rows;
  for (int64_t y = image.height; y-- > 0;) {
    for (int64_t x = 0; x < image.width; ++x) {
      for (int c = 2; c >= 0; --c) rows += char(image.at(x, y)[c]);
    }
    rows.append(size_t((4 - image.width * 3 % 4) % 4), '\0');
  }
  return bmp_headers(image.width, image.height, 24, 0, rows.size()) + rows;
}

/// A BMP of 8 bits, 4x2, with a palette of the colours 1 2 3 and 4 5 6.
std::string palette_bmp(const std::string& indices) {
  return bmp_headers(4, 2, 8, 8, 8) + std::string("\x03\x02\x01\0\x06\x05\x04\0", 8) + indices;
}

/// Leaves numbers on the stack for those to find who read what nobody wrote.
[[gnu::noinline]] void soil_stack() {
  volatile uint8_t soil[100000];
  for (volatile uint8_t& byte : soil) byte = 0xaa;
}

/// Where corner (right, bottom) of the stored picture is shown under each orientation, by the text
/// of Exif 2.3: what the 0th row and the 0th column are.
struct Turn {
  int orientation;
  bool swaps;
  bool stored_origin_is_right, stored_origin_is_bottom;  // of the upright picture
};

}  // namespace

TEST_CASE("image: a PNG comes back as it was written") {
  const TempDir dir;
  const Image image = noise(37, 21, 1);
  write_png(dir / "a.png", image);
  const Image back = read_image(dir / "a.png");
  CHECK(back.width == 37);
  CHECK(back.height == 21);
  CHECK(back.rgb == image.rgb);
  CHECK(probe_image(dir / "a.png").width == 37);
}

TEST_CASE("image: a JPEG comes back nearly as it was written") {
  const TempDir dir;
  const Image image = slope(61, 43);
  write_jpeg(dir / "a.jpg", image, 95);
  const Image back = read_image(dir / "a.jpg");
  REQUIRE(back.width == 61);
  REQUIRE(back.height == 43);
  // A smooth picture at quality 95 without colour subsampling: a few levels.
  CHECK(difference(back.rgb, image.rgb).largest <= 8);
  CHECK(difference(back.rgb, image.rgb).mean < 1.5);
}

TEST_CASE("image: a lower JPEG quality gives a smaller file") {
  const TempDir dir;
  const Image image = noise(64, 64, 2);
  write_jpeg(dir / "high.jpg", image, 95);
  write_jpeg(dir / "low.jpg", image, 20);
  CHECK(std::filesystem::file_size(dir / "low.jpg") * 2 <
        std::filesystem::file_size(dir / "high.jpg"));
}

TEST_CASE("image: a BMP is read from bottom to top") {
  const Image image = noise(5, 4, 3);
  CHECK(read_bytes(bmp_of(image)).rgb == image.rgb);
}

TEST_CASE("image: a BMP with its top row first, told by a negative height, is read") {
  const TempDir dir;
  const Image image = noise(5, 4, 3);
  std::string bytes = bmp_of(image);
  bytes.replace(22, 4, little_endian(uint32_t(-image.height), 4));
  write_file(dir / "a.bmp", bytes);
  CHECK(probe_image(dir / "a.bmp").height == 4);
  const Image back = read_image(dir / "a.bmp");
  REQUIRE(back.height == 4);
  for (int64_t y = 0; y < 4; ++y) {
    CHECK(std::equal(back.at(0, y), back.at(0, y) + 15, image.at(0, 3 - y)));
  }
}

TEST_CASE("image: a BMP cut short is refused wherever it is cut") {
  const TempDir dir;
  const std::string bytes = bmp_of(noise(5, 4, 3));  // rows of 15 bytes and one that fills them up
  write_file(dir / "a.bmp", bytes.substr(0, bytes.size() - 1));
  CHECK(read_image(dir / "a.bmp").width == 5);
  for (const size_t size : {bytes.size() - 2, bytes.size() / 2, size_t(54), size_t(29)}) {
    INFO(size << " of " << bytes.size() << " bytes");
    write_file(dir / "a.bmp", bytes.substr(0, size));
    CHECK_THROWS_WITH_TEXT(read_image(dir / "a.bmp"), FileError, "a.bmp: the BMP is cut short");
    CHECK_THROWS_WITH_TEXT(probe_image(dir / "a.bmp"), FileError, "a.bmp: the BMP is cut short");
  }
  write_file(dir / "b.bmp", bmp_headers(16000, 16000, 24, 0, 0));
  CHECK_THROWS_WITH_TEXT(read_image(dir / "b.bmp"), FileError, "it has 54 bytes, 768000054 wanted");
}

TEST_CASE("image: colours beyond the end of a palette are black") {
  soil_stack();
  CHECK(read_bytes(palette_bmp(std::string("\1\0\2\xff\0\0\1\1", 8))).rgb ==
        std::vector<uint8_t>{1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6,  //
                             4, 5, 6, 1, 2, 3, 0, 0, 0, 0, 0, 0});
  soil_stack();
  CHECK(read_bytes(from_hex(kPalettePng)).rgb == std::vector<uint8_t>{4, 5, 6, 0, 0, 0, 1, 2, 3});
}

TEST_CASE("image: a BMP of indices without a palette that is understood is refused") {
  const TempDir dir;
  write_file(dir / "a.bmp", bmp_headers(4, 2, 8, 0, 8) + "12345678");
  CHECK_THROWS_WITH_TEXT(read_image(dir / "a.bmp"), FileError,
                         "malformed picture: a BMP of 8 bits a pixel without a palette");
  // The header of OS/2 1.x, whose palette stb_image reads four colours short.
  write_file(dir / "b.bmp", "BM" + little_endian(0, 8) + little_endian(32, 4) +
                                little_endian(12, 4) + little_endian(4, 2) + little_endian(2, 2) +
                                little_endian(1, 2) + little_endian(1, 2) + std::string(14, '\1'));
  CHECK_THROWS_WITH_TEXT(read_image(dir / "b.bmp"), FileError,
                         "b.bmp: a BMP of OS/2 with a palette");
}

TEST_CASE("image: grey pictures become equal channels") {
  CHECK(read_bytes(from_hex(kGreyPng)).rgb == std::vector<uint8_t>{7, 7, 7, 200, 200, 200});
  const Image image = read_bytes(from_hex(kGreyJpeg));
  REQUIRE(image.width == 16);
  for (int c = 0; c < 3; ++c) CHECK(std::abs(int(image.at(8, 8)[c]) - 120) <= 1);
}

TEST_CASE("image: 16 bits become 8 and alpha is dropped") {
  CHECK(read_bytes(from_hex(kRgb16Png)).rgb ==
        std::vector<uint8_t>{0x12, 0x80, 0xff, 0x00, 0x01, 0xab});
  CHECK(read_bytes(from_hex(kRgbaPng)).rgb == std::vector<uint8_t>{10, 20, 30, 40, 50, 60});
}

TEST_CASE("image: progressive and CMYK JPEGs are read") {
  constexpr std::array<int, 3> kColour{200, 100, 50};
  for (const auto bytes : {kProgressiveJpeg, kCmykJpeg}) {
    const Image image = read_bytes(from_hex(bytes));
    REQUIRE(image.height == 16);
    // Colours pass through YCbCr or CMYK in 8 bits and quality 90.
    for (size_t c = 0; c < 3; ++c) CHECK(std::abs(int(image.at(8, 8)[c]) - kColour[c]) <= 3);
  }
}

TEST_CASE("image: the EXIF orientation is applied") {
  const TempDir dir;
  const Image stored = slope(48, 32);
  write_jpeg(dir / "stored.jpg", stored, 100);
  const std::string jpeg = read_file(dir / "stored.jpg");
  const Image plain = read_bytes(jpeg);
  const std::array<Turn, 8> turns{{{1, false, false, false},
                                   {2, false, true, false},
                                   {3, false, true, true},
                                   {4, false, false, true},
                                   {5, true, false, false},
                                   {6, true, true, false},
                                   {7, true, true, true},
                                   {8, true, false, true}}};
  for (const Turn& turn : turns) {
    for (const bool little : {false, true}) {
      INFO("orientation " << turn.orientation << " little endian " << little);
      const Image image = read_bytes(with_orientation(jpeg, turn.orientation, little));
      REQUIRE(image.width == (turn.swaps ? 32 : 48));
      REQUIRE(image.height == (turn.swaps ? 48 : 32));
      // Follow every stored pixel to where it is shown.
      bool same = true;
      for (int64_t y = 0; y < 32; ++y) {
        for (int64_t x = 0; x < 48; ++x) {
          int64_t to_x = turn.swaps ? y : x, to_y = turn.swaps ? x : y;
          if (turn.stored_origin_is_right) to_x = image.width - 1 - to_x;
          if (turn.stored_origin_is_bottom) to_y = image.height - 1 - to_y;
          same = same && std::equal(plain.at(x, y), plain.at(x, y) + 3, image.at(to_x, to_y));
        }
      }
      CHECK(same);
    }
  }
}

TEST_CASE("image: a PNG's EXIF orientation is applied too, wherever its chunk stands") {
  const TempDir dir;
  write_png(dir / "stored.png", slope(48, 32));
  write_jpeg(dir / "stored.jpg", slope(48, 32), 100);
  const std::string png = read_file(dir / "stored.png"), jpeg = read_file(dir / "stored.jpg");
  for (int orientation = 1; orientation <= 9; ++orientation) {
    for (const ExifPlace place : {ExifPlace::kFirst, ExifPlace::kLast}) {
      INFO("orientation " << orientation << " place " << int(place));
      // A JPEG's is compared above with where each pixel goes.
      const Image expected = read_bytes(with_orientation(jpeg, orientation, true));
      const Image image = read_bytes(with_orientation_png(png, orientation, place));
      REQUIRE(image.width == expected.width);
      REQUIRE(image.height == expected.height);
      CHECK(difference(image.rgb, expected.rgb).largest <= 3);
    }
  }
}

TEST_CASE("image: an orientation out of range counts as upright") {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", slope(20, 12), 90);
  const std::string jpeg = read_file(dir / "a.jpg");
  CHECK(read_bytes(with_orientation(jpeg, 0, true)).width == 20);
  CHECK(read_bytes(with_orientation(jpeg, 9, false)).width == 20);
}

TEST_CASE("image: bytes behind the end of a JPEG do no harm") {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", slope(20, 12), 90);
  CHECK(read_bytes(read_file(dir / "a.jpg") + std::string(100, 'x')).width == 20);
}

TEST_CASE("image: names with spaces and non-ASCII letters are read and written") {
  const TempDir dir;
  const auto path = dir / "größe 图片.png";
  write_png(path, noise(4, 4, 5));
  CHECK(read_image(path).width == 4);
}

}  // namespace ydistill::test
