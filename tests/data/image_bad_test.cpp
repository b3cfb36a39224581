// SPDX-License-Identifier: MIT
#include <malloc.h>

#include <algorithm>

#include <ydistill/data/image.h>
#include <ydistill/data/image_codec.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/random.h>

#include "data/picture_bytes.h"
#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"
#include "support/small_disk.h"

namespace ydistill::test {
namespace {

/// A file of these bytes is refused by both, in one line that names it and says `text`.
void check_refused(const std::string& bytes, const std::string& text) {
  const TempDir dir;
  write_file(dir / "bad.jpg", bytes);
  CHECK_THROWS_WITH_TEXT(read_image(dir / "bad.jpg"), FileError, text);
  CHECK_THROWS_WITH_TEXT(read_image(dir / "bad.jpg"), FileError, "bad.jpg: ");
  CHECK_THROWS_WITH_TEXT(probe_image(dir / "bad.jpg"), FileError, text);
}

std::span<const uint8_t> as_bytes(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

std::string jpeg_bytes() {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", noise(64, 48, 1), 90);
  return read_file(dir / "a.jpg");
}

}  // namespace

TEST_CASE("image: a missing file a folder and an empty file are refused") {
  const TempDir dir;
  CHECK_THROWS_WITH_TEXT(read_image(dir / "none.jpg"), FileError, "none.jpg: no such picture");
  CHECK_THROWS_WITH_TEXT(probe_image(dir.path()), FileError, "not a file");
  check_refused("", "is empty");
}

TEST_CASE("image: what is no picture is refused") {
  check_refused("GIF89a and so on", "is no JPEG, PNG or BMP picture");
  check_refused("x", "is no JPEG, PNG or BMP picture");
}

TEST_CASE("image: a JPEG cut short is refused wherever it is cut") {
  const std::string jpeg = jpeg_bytes();
  for (const size_t size : {jpeg.size() / 2, jpeg.size() / 4 * 3, jpeg.size() - 2, jpeg.size() - 1,
                            size_t(300), size_t(30), size_t(3)}) {
    INFO(size << " of " << jpeg.size() << " bytes");
    check_refused(jpeg.substr(0, size), "cut short");
  }
}

TEST_CASE("image: a JPEG whose middle is missing is refused by libjpeg-turbo") {
#ifndef YDISTILL_TEST_TURBOJPEG
  YD_SKIP("built without libjpeg-turbo");
#endif
  const TempDir dir;
  const std::string jpeg = jpeg_bytes();
  write_file(dir / "a.jpg", jpeg.substr(0, jpeg.size() / 2) + jpeg.substr(jpeg.size() - 2));
  CHECK_THROWS_WITH_TEXT(read_image(dir / "a.jpg"), FileError, "a.jpg: cannot be decoded: ");
}

/// `jpeg` with bytes put before the first quantisation table, behind the JFIF segment.
std::string with_stray_bytes(const std::string& jpeg, const std::string& bytes) {
  const size_t at = jpeg.find("\xff\xdb");
  return jpeg.substr(0, at) + bytes + jpeg.substr(at);
}

TEST_CASE("image: stray bytes between segments are passed over, and hide no damage behind them") {
  const TempDir dir;
  const std::string jpeg = jpeg_bytes();
  write_file(dir / "a.jpg", jpeg);
  std::string other_version = jpeg;
  other_version[jpeg.find("JFIF") + 5] = 9;
  for (const std::string& odd : {with_stray_bytes(jpeg, "abc"), other_version,
                                 with_stray_bytes(other_version, "a\xff\xff")}) {
    write_file(dir / "odd.jpg", odd);
    CHECK(read_image(dir / "odd.jpg").rgb == read_image(dir / "a.jpg").rgb);
#ifdef YDISTILL_TEST_TURBOJPEG
    write_file(dir / "odd.jpg", odd.substr(0, odd.size() / 2) + odd.substr(odd.size() - 2));
    CHECK_THROWS_WITH_TEXT(read_image(dir / "odd.jpg"), FileError,
                           "odd.jpg: cannot be decoded: Corrupt JPEG data: premature end");
#endif
  }
}

TEST_CASE("image: a PNG cut short is refused") {
  const TempDir dir;
  write_png(dir / "a.png", noise(64, 48, 1));
  const std::string png = read_file(dir / "a.png");
  for (const size_t size : {png.size() / 2, png.size() - 13, png.size() - 12, png.size() - 5}) {
    INFO(size << " of " << png.size() << " bytes");
    check_refused(png.substr(0, size), "the PNG is cut short: it has no end chunk");
  }
  check_refused(png.substr(0, 20), "malformed picture");
}

TEST_CASE("image: a PNG chunk with a strange name is told in one line") {
  const TempDir dir;
  std::string png = from_hex(kGreyPng);
  const size_t at = png.find("IDAT");
  png.replace(at, 4, "\nA\x1b[");
  // From 2.28 on stb_image looks for the pixels before it says what a picture is.
  const auto refused = [&](const std::string& why) {
    write_file(dir / "a.png", png);
    std::string said;
    try {
      (void)read_image(dir / "a.png");
    } catch (const FileError& error) {
      said = error.what();
    }
    INFO(said);
    const bool is_newer = said.ends_with("a.png: malformed picture: unknown image type");
    CHECK((is_newer || said.find(why) != std::string::npos));
  };
  refused("the checksum of its chunk \\x0aA\\x1b[ at byte");
  // With the sum that belongs to it (CRC-32 of type and data).
  const size_t length = uint8_t(png[at - 1]);
  uint32_t sum = 0xffffffffu;
  for (size_t i = at; i < at + 4 + length; ++i) {
    sum ^= uint8_t(png[i]);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
  }
  for (size_t i = 0; i < 4; ++i) png[at + 4 + length + i] = char(~sum >> (24 - 8 * i));
  refused("cannot be decoded: \\x0aA\\x1b[ PNG chunk not known");
}

TEST_CASE("image: a PNG beyond the first 64 KiB is walked to its end too") {
  const TempDir dir;
  write_png(dir / "a.png", noise(400, 300, 1));
  const std::string png = read_file(dir / "a.png");
  REQUIRE(png.size() > 300000);
  CHECK(probe_image(dir / "a.png").width == 400);
  check_refused(png.substr(0, png.size() - 12), "the PNG is cut short: it has no end chunk");
}

TEST_CASE("image: a PNG whose bytes are not those that were written is refused") {
  const TempDir dir;
  write_png(dir / "a.png", noise(64, 48, 1));
  const std::string png = read_file(dir / "a.png");
  for (const size_t at : {png.size() / 2, png.size() - 20, png.size() - 13, size_t(30)}) {
    INFO(at);
    std::string damaged = png;
    damaged[at] = char(damaged[at] ^ 1);
    write_file(dir / "b.png", damaged);
    CHECK_THROWS_WITH_TEXT(read_image(dir / "b.png"), FileError, "b.png: the PNG is damaged: ");
  }
}

TEST_CASE("image: a picture that claims too many pixels is refused before it is decoded") {
  std::string png = from_hex(kGreyPng);
  png.replace(16, 8, std::string("\0\x01\0\0\0\x01\0\0", 8));  // 65536 x 65536
  check_refused(png, "65536x65536 pixels, at most 268435456 are read");
}

TEST_CASE("image: a JPEG of a few bytes that claims millions of pixels is refused") {
  std::string jpeg = jpeg_bytes();
  const size_t frame = jpeg.find("\xff\xc0");
  REQUIRE(frame != std::string::npos);
  jpeg.replace(frame + 5, 4, "\x3f\xff\x3f\xfe");  // 16383, 16382
  check_refused(jpeg, fmt::format("cut short: 16382x16383 pixels in {} bytes, {} or more wanted",
                                  jpeg.size(), (int64_t(16382) * 16383 - (1 << 22)) / 1024));
}

TEST_CASE("image: a JPEG of one colour is read whatever its size") {
  const TempDir dir;
  write_jpeg(dir / "plain.jpg", Image::filled(4096, 2048, 90), 50);
  CHECK(read_image(dir / "plain.jpg").width == 4096);
}

TEST_CASE("image: a JPEG without height is refused") {
  std::string jpeg = jpeg_bytes();
  const size_t frame = jpeg.find("\xff\xc0");
  REQUIRE(frame != std::string::npos);
  jpeg[frame + 5] = jpeg[frame + 6] = 0;
  check_refused(jpeg, "a picture of 64x0 pixels");
}

TEST_CASE("image: malformed JPEG segments are refused") {
  check_refused(std::string("\xff\xd8\xff\xe0\x00\x01rest", 10), "has length 1");
  check_refused("\xff\xd8\xff\xd9", "ends before its first scan");
  check_refused(std::string("\xff\xd8\xff\xda\x00\x02", 6), "a scan without a frame header");
  check_refused(std::string("\xff\xd8\xff\xc0\x00\x03\x08", 7), "a frame header of 1 bytes");
}

/// A segment that defines a Huffman table of 255 codes of each of 16 lengths.
std::string huge_table() {
  constexpr size_t kCodes = 16 * 255, kLength = 2 + 17 + kCodes;
  std::string bytes = "\xff\xc4";
  bytes += {char(kLength >> 8), char(kLength & 0xff), '\0'};
  return bytes + std::string(16, '\xff') + std::string(kCodes, 'x');
}

TEST_CASE("image: a JPEG with a Huffman table of more codes than there are bytes is refused") {
  const TempDir dir;
  const std::string progressive = from_hex(kProgressiveJpeg);
  for (const auto& [jpeg, at] : {std::pair(jpeg_bytes(), jpeg_bytes().find("\xff\xc4")),
                                 std::pair(progressive, progressive.rfind("\xff\xc4"))}) {
    INFO(at);
    REQUIRE(at != std::string::npos);
    std::string bad = jpeg;
    bad.insert(at, huge_table());
    write_file(dir / "a.jpg", bad);
#ifdef YDISTILL_TEST_TURBOJPEG
    CHECK_THROWS_WITH_TEXT(read_image(dir / "a.jpg"), FileError, "a.jpg: cannot be decoded: Bogus");
#else
    CHECK_THROWS_WITH_TEXT(read_image(dir / "a.jpg"), FileError, "a Huffman table of 4080 codes");
#endif
    CHECK_THROWS_WITH_TEXT(check_jpeg_tables(as_bytes(bad), "a.jpg"), FileError,
                           "a.jpg: malformed JPEG: a Huffman table of 4080 codes, at most 256");
  }
}

TEST_CASE("image: a JPEG's Huffman tables that are cut short are refused and sound ones pass") {
  for (const std::string& jpeg :
       {jpeg_bytes(), from_hex(kProgressiveJpeg), from_hex(kCmykJpeg), from_hex(kGreyJpeg)}) {
    CHECK_NOTHROW(check_jpeg_tables(as_bytes(jpeg), "a.jpg"));
    const size_t at = jpeg.rfind("\xff\xc4");
    CHECK_THROWS_WITH_TEXT(check_jpeg_tables(as_bytes(jpeg.substr(0, at + 4 + 16)), "a.jpg"),
                           FileError,
                           "a.jpg: malformed JPEG: a Huffman table of 16 bytes, 17 or more wanted");
    std::string longer = jpeg;  // the segment goes on for a byte that is no table
    longer.insert(at + 2 + big_endian(as_bytes(jpeg), at + 2, 2), "x");
    longer[at + 3] = char(longer[at + 3] + 1);
    CHECK_THROWS_WITH_TEXT(check_jpeg_tables(as_bytes(longer), "a.jpg"), FileError,
                           "a Huffman table of 1 bytes");
  }
}

TEST_CASE("image: a PNG that shows bytes it never wrote has the same pixels whatever memory held") {
  const TempDir dir;
  write_file(dir / "a.png", from_hex(kNoDistancePng));
  mallopt(M_PERTURB, 0x5a);  // new memory is full of a5, freed memory of 5a
  std::vector<uint8_t> pixels(4128 * 3);
  try {
    pixels = read_image(dir / "a.png").rgb;
  } catch (const FileError&) {  // newer decoders refuse it
  }
  mallopt(M_PERTURB, 0);
  CHECK(std::ranges::count(pixels, 0) == 4128 * 3);
}

TEST_CASE("image: damaged files are read or refused but never crash") {
  const TempDir dir;
  const std::string jpeg = with_orientation(jpeg_bytes(), 6, true);
  write_png(dir / "a.png", noise(24, 16, 1));
  const std::string png = read_file(dir / "a.png");
  Rng rng(7);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string bytes = i % 2 == 0 ? jpeg : png;
    // Mostly in the headers, where lengths and offsets are.
    const int64_t reach = i % 4 < 2 ? 160 : int64_t(bytes.size());
    for (int k = 0; k < 3; ++k) bytes[size_t(rng.below(reach))] = char(rng.below(256));
    write_file(dir / "damaged", bytes);
    try {
      const Image image = read_image(dir / "damaged");
      CHECK(int64_t(image.rgb.size()) == image.width * image.height * 3);
    } catch (const FileError&) {
      ++refused;
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("image: writing where there is no folder fails and names the file") {
  const TempDir dir;
  CHECK_THROWS_WITH_TEXT(write_png(dir / "none/a.png", slope(8, 8)), FileError, "none/a.png");
  CHECK_THROWS_WITH_TEXT(write_jpeg(dir / "none/a.jpg", slope(8, 8)), FileError, "none/a.jpg");
  CHECK_THROWS_WITH_TEXT(write_png(dir.path(), slope(8, 8)), FileError, "folder");
}

TEST_CASE("image: a full disk leaves the old picture as it was") {
  const TempDir dir;
  write_png(dir / "a.png", slope(8, 8));
  const std::string before = read_file(dir / "a.png");
  {
    const SmallDisk disk(64);
    CHECK_THROWS_WITH_TEXT(write_png(dir / "a.png", noise(64, 64, 1)), FileError, "a.png");
    CHECK_THROWS_WITH_TEXT(write_jpeg(dir / "b.jpg", noise(64, 64, 1)), FileError, "b.jpg");
  }
  CHECK(read_file(dir / "a.png") == before);
  CHECK(!std::filesystem::exists(dir / "b.jpg"));
}

TEST_CASE("image: an empty picture or a quality out of range is not written") {
  const TempDir dir;
  CHECK_THROWS_WITH_TEXT(write_png(dir / "a.png", Image()), ValueError, "0x0 pixels");
  Image image = slope(8, 8);
  image.rgb.pop_back();
  CHECK_THROWS_WITH_TEXT(write_jpeg(dir / "a.jpg", image), ValueError, "191 bytes");
  CHECK_THROWS_WITH_TEXT(write_jpeg(dir / "a.jpg", slope(8, 8), 0), ValueError,
                         "quality 0, 1 to 100 wanted");
}

}  // namespace ydistill::test
