// SPDX-License-Identifier: MIT
#include <ydistill/data/video_stream.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"

namespace ydistill {
namespace {

using Chroma = VideoFormat::Chroma;

VideoFormat format_of(const std::string& header) {
  return parse_video_header(header, "x.y4m");
}

std::string frame(const std::string& planes) {
  return "FRAME\n" + planes;
}

TEST_CASE("video stream: headers of FFmpeg, GStreamer and mjpegtools are understood") {
  const VideoFormat a =
      format_of("YUV4MPEG2 W640 H360 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL");
  CHECK(a.width == 640);
  CHECK(a.height == 360);
  CHECK(a.rate == 30000);
  CHECK(a.rate_per == 1001);
  CHECK(a.chroma == Chroma::k420);
  CHECK(a.full_range);
  CHECK(a.frame_bytes() == 640 * 360 * 3 / 2);
  const VideoFormat b = format_of("YUV4MPEG2 W5 H3 F0:0 C422");
  CHECK(b.rate == 0);
  CHECK(b.chroma == Chroma::k422);
  CHECK_FALSE(b.full_range);
  CHECK(b.frame_bytes() == 15 + 2 * 9);
  CHECK(format_of("YUV4MPEG2 H3 W5").frame_bytes() == 15 + 2 * 6);  // 4:2:0 where nothing is said
  CHECK(format_of("YUV4MPEG2 W5 H3 C444").frame_bytes() == 45);
  CHECK(format_of("YUV4MPEG2 W5 H3 Cmono").frame_bytes() == 15);
}

TEST_CASE("video stream: what is no header of 8-bit video is refused, saying what would be right") {
  for (const char* header :
       {"", "RIFF", "YUV4MPEG W2 H2", "YUV4MPEG2 W2", "YUV4MPEG2 W0 H2", "YUV4MPEG2 W-4 H2",
        "YUV4MPEG2 W2 H2 C420p10", "YUV4MPEG2 W2 H2 F30", "YUV4MPEG2 W2 H2 Fx:1",
        "YUV4MPEG2 W99999999999999999999 H2", "YUV4MPEG2 W4294967296 H4294967296"}) {
    INFO(header);
    CHECK_THROWS_AS(format_of(header), FileError);
  }
  CHECK_THROWS_WITH(format_of("YUV4MPEG2 W2 H2 C420p10"),
                    "x.y4m: colours of the kind C420p10; expected 8-bit YUV4MPEG2, as `ffmpeg -i "
                    "VIDEO -f yuv4mpegpipe -pix_fmt yuv420p -` writes it");
}

TEST_CASE("video stream: frames come one after the other, and what is written can be read") {
  const std::string text = "YUV4MPEG2 W2 H2 F25:1 C420jpeg\n" + frame("abcdef") + "FRAME Ixyz\n" +
                           std::string("ghijk\n");
  std::istringstream in(text);
  VideoReader reader(in, "pipe");
  std::ostringstream out;
  write_video_header(out, reader.format());
  std::vector<uint8_t> planes;
  REQUIRE(reader.next(planes));
  CHECK(std::string(planes.begin(), planes.end()) == "abcdef");
  write_video_frame(out, planes);
  REQUIRE(reader.next(planes));
  CHECK(std::string(planes.begin(), planes.end()) == "ghijk\n");
  write_video_frame(out, planes);
  CHECK_FALSE(reader.next(planes));
  CHECK_FALSE(reader.next(planes));
  CHECK(out.str() == "YUV4MPEG2 W2 H2 F25:1 C420jpeg\n" + frame("abcdef") + frame("ghijk\n"));
}

TEST_CASE("video stream: a stream that ends early or goes astray says where") {
  const std::string header = "YUV4MPEG2 W2 H2\n";
  const auto read = [](const std::string& text) {
    std::istringstream in(text);
    VideoReader reader(in, "pipe");
    std::vector<uint8_t> planes;
    while (reader.next(planes)) {
    }
  };
  read(header);  // no frames are no fault
  CHECK_THROWS_WITH(read(header + frame("abcdef") + frame("abc")),
                    "pipe: ends within frame 2: 3 of 6 bytes");
  CHECK_THROWS_WITH(read(header + frame("abcdefgh") + frame("abcdef")),
                    "pipe: no frame begins after frame 1: \"ghFRAME\"");
  CHECK_THROWS_AS(read(""), FileError);
  CHECK_THROWS_AS(read(std::string(100000, 'x')), FileError);
}

// ITU-R BT.601: the colours of a test picture's bars, Y Cb Cr in 16..235 and 16..240.
TEST_CASE("video stream: colours are those of BT.601") {
  struct Colour {
    uint8_t r, g, b, y, cb, cr;
  };
  for (const Colour& c : {Colour{0, 0, 0, 16, 128, 128}, Colour{255, 255, 255, 235, 128, 128},
                          Colour{255, 0, 0, 81, 90, 240}, Colour{0, 255, 0, 145, 54, 34},
                          Colour{0, 0, 255, 41, 240, 110}, Colour{255, 255, 0, 210, 16, 146}}) {
    INFO(int(c.r) << " " << int(c.g) << " " << int(c.b));
    for (const std::string kind : {"C420", "C422", "C444"}) {
      const VideoFormat format = format_of("YUV4MPEG2 W2 H2 " + kind);
      const auto chroma = size_t(format.chroma_width() * format.chroma_height());
      std::vector<uint8_t> planes(4, c.y);
      planes.insert(planes.end(), chroma, c.cb);
      planes.insert(planes.end(), chroma, c.cr);
      const Image image = rgb_of_frame(format, planes);
      for (int64_t i = 0; i < 4; ++i) {
        const uint8_t* p = image.at(i % 2, i / 2);
        CHECK(std::abs(p[0] - c.r) <= 2);  // of samples rounded to whole numbers
        CHECK(std::abs(p[1] - c.g) <= 2);
        CHECK(std::abs(p[2] - c.b) <= 2);
      }
      Image colour = Image::filled(2, 2, 0);
      for (int64_t i = 0; i < 4; ++i) {
        uint8_t* p = colour.at(i % 2, i / 2);
        p[0] = c.r;
        p[1] = c.g;
        p[2] = c.b;
      }
      std::vector<uint8_t> drawn(planes.size(), 7);
      put_drawn_pixels(format, Image::filled(2, 2, 99), colour, drawn);
      CHECK(drawn == planes);
    }
  }
  const VideoFormat full = format_of("YUV4MPEG2 W1 H1 Cmono XCOLORRANGE=FULL");
  for (int level = 0; level < 256; ++level) {
    CHECK(rgb_of_frame(full, {uint8_t(level)}).at(0, 0)[1] == level);
  }
}

TEST_CASE("video stream: every row of every width has the nearest colours") {
  const auto nearest = [](double level) { return std::clamp(level, 0.0, 255.0); };
  for (const std::string kind : {"C420", "C422", "C444", "Cmono"}) {
    for (const std::string range : {"", " XCOLORRANGE=FULL"}) {
      for (const int64_t width : {1, 2, 15, 16, 63, 64, 65, 131}) {
        INFO(kind << range << " " << width);
        const VideoFormat format =
            format_of("YUV4MPEG2 W" + std::to_string(width) + " H3 " + kind + range);
        const Image noise = test::noise(format.frame_bytes(), 1, uint64_t(width));
        std::vector<uint8_t> planes;
        for (int64_t i = 0; i < format.frame_bytes(); ++i) planes.push_back(noise.at(i, 0)[0]);
        // Memory that is larger, and holds something, makes no difference.
        const Image image = rgb_of_frame(format, planes, Image::filled(200, 3, 9));
        CHECK(image.rgb == rgb_of_frame(format, planes).rgb);
        REQUIRE(int64_t(image.rgb.size()) == width * 9);
        const bool full = !range.empty();
        const int64_t luma = width * 3, chroma = format.chroma_width() * format.chroma_height();
        double worst = 0;
        for (int64_t y = 0; y < 3; ++y) {
          for (int64_t x = 0; x < width; ++x) {
            const int64_t column = kind == "C444" ? x : x / 2, row = kind == "C420" ? y / 2 : y;
            const auto sample = [&](int64_t plane) {
              if (chroma == 0) return 0.0;
              const int64_t at = luma + plane * chroma + row * format.chroma_width() + column;
              return (double(planes[size_t(at)]) - 128) * (full ? 1 : 255.0 / 224);
            };
            const double light = (double(planes[size_t(y * width + x)]) - (full ? 0 : 16)) *
                                 (full ? 1 : 255.0 / 219);
            const double red = light + 1.402 * sample(1), blue = light + 1.772 * sample(0);
            const double green = (light - 0.299 * red - 0.114 * blue) / 0.587;
            const uint8_t* p = image.at(x, y);
            worst = std::max({worst, std::abs(p[0] - nearest(red)), std::abs(p[1] - nearest(green)),
                              std::abs(p[2] - nearest(blue))});
          }
        }
        CHECK(worst < 0.51);
      }
    }
  }
}

TEST_CASE("video stream: drawing changes the samples of drawn pixels only") {
  const VideoFormat format = format_of("YUV4MPEG2 W7 H5 C420");
  std::vector<uint8_t> planes;
  const Image noise = test::noise(int64_t(format.frame_bytes()), 1, 3);
  for (int64_t i = 0; i < format.frame_bytes(); ++i) planes.push_back(noise.at(i, 0)[0]);
  const Image before = rgb_of_frame(format, planes);
  Image after = before;
  after.at(6, 4)[0] ^= 0x80;  // the last pixel, alone in its block
  std::vector<uint8_t> drawn = planes;
  put_drawn_pixels(format, before, before, drawn);
  CHECK(drawn == planes);
  put_drawn_pixels(format, before, after, drawn);
  for (size_t i = 0; i < planes.size(); ++i) {
    const bool is_its_own = i == 34 || i == 35 + 11 || i == 35 + 12 + 11;
    if (!is_its_own) CHECK(drawn[i] == planes[i]);
  }
  CHECK(drawn[34] != planes[34]);
}

TEST_CASE("video stream: sizes that do not fit together are refused") {
  const VideoFormat format = format_of("YUV4MPEG2 W4 H4");
  std::vector<uint8_t> planes(24);
  CHECK_THROWS_AS(rgb_of_frame(format, std::vector<uint8_t>(23)), ValueError);
  CHECK_THROWS_AS(put_drawn_pixels(format, Image::filled(4, 4, 0), Image::filled(4, 3, 0), planes),
                  ValueError);
}

}  // namespace
}  // namespace ydistill
