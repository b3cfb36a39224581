// SPDX-License-Identifier: MIT
#include <ydistill/data/video_stream.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <string_view>
#include <utility>

#include <ydistill/data/video_kernels.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

using Chroma = VideoFormat::Chroma;

constexpr std::string_view kMagic = "YUV4MPEG2", kFrame = "FRAME";
constexpr size_t kLongestHeader = 4096;
constexpr const char* kHint =
    "expected 8-bit YUV4MPEG2, as `ffmpeg -i VIDEO -f yuv4mpegpipe -pix_fmt yuv420p -` writes it";

/// The whole text as a number, or -1.
int64_t number_of(std::string_view text) {
  int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc() && end == text.data() + text.size() ? number : -1;
}

/// Pixels per sample of Cb or Cr, to the right and downwards.
struct Sharing {
  int64_t x, y;
};
Sharing sharing_of(Chroma chroma) {
  switch (chroma) {
    case Chroma::k420:
      return {2, 2};
    case Chroma::k422:
      return {2, 1};
    default:
      return {1, 1};
  }
}

/// Addresses of a frame's samples.
template <class Byte>
struct Planes {
  Byte *luma, *cb, *cr;  // cb, cr: null in grey video
};
template <class Byte>
Planes<Byte> planes_of(const VideoFormat& format, Byte* bytes) {
  const int64_t luma = format.width * format.height;
  const int64_t chroma = format.chroma_width() * format.chroma_height();
  if (chroma == 0) return {bytes, nullptr, nullptr};
  return {bytes, bytes + luma, bytes + luma + chroma};
}

/// The nearest.
uint8_t to_byte(float x) {
  return uint8_t(std::clamp(x, 0.0f, 255.0f) + 0.5f);
}

// BT.601: Y = 0.299 R + 0.587 G + 0.114 B, Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402, each scaled
// to its range.
constexpr float kRed = 0.299f, kGreen = 0.587f, kBlue = 0.114f;
constexpr float kCbScale = 2 * (1 - kBlue), kCrScale = 2 * (1 - kRed);

struct Range {
  float luma_offset, luma_scale, chroma_scale;  // of samples, to 0..255 and -127.5..127.5
};
Range range_of(const VideoFormat& format) {
  if (format.full_range) return {0, 1, 1};
  return {16, 255.0f / 219, 255.0f / 224};
}

/// The factor of a sample of Y, and those of Cb and Cr for red, green and blue.
ColourScales scales_of(const Range& range) {
  const auto scale = [](float levels) { return int32_t(std::lround(65536 * double(levels))); };
  const float chroma = range.chroma_scale;
  return {int32_t(range.luma_offset),
          scale(range.luma_scale),
          scale(kCrScale * chroma),
          scale(-kBlue * kCbScale / kGreen * chroma),
          scale(-kRed * kCrScale / kGreen * chroma),
          scale(kCbScale * chroma)};
}

void check_planes(const VideoFormat& format, const std::vector<uint8_t>& planes) {
  if (int64_t(planes.size()) != format.frame_bytes()) {
    throw ValueError("video: a frame of {} bytes, {} x {} pixels have {}", planes.size(),
                     format.width, format.height, format.frame_bytes());
  }
}

}  // namespace

int64_t VideoFormat::chroma_width() const {
  if (chroma == Chroma::kGrey) return 0;
  const int64_t shared = sharing_of(chroma).x;
  return (width + shared - 1) / shared;
}

int64_t VideoFormat::chroma_height() const {
  if (chroma == Chroma::kGrey) return 0;
  const int64_t shared = sharing_of(chroma).y;
  return (height + shared - 1) / shared;
}

int64_t VideoFormat::frame_bytes() const {
  return width * height + 2 * chroma_width() * chroma_height();
}

VideoFormat parse_video_header(const std::string& line, const std::string& name) {
  const auto refuse = [&](const std::string& what) {
    throw FileError("{}: {}; {}", name, printable(what, 100), kHint);
  };
  std::istringstream words(line);
  std::string word;
  words >> word;
  if (word != kMagic) refuse("not a video stream: it begins with \"" + line.substr(0, 20) + "\"");
  VideoFormat format;
  format.header = line;
  while (words >> word) {
    const std::string value = word.substr(1);
    switch (word[0]) {
      case 'W':
        format.width = number_of(value);
        break;
      case 'H':
        format.height = number_of(value);
        break;
      case 'F': {
        const size_t colon = value.find(':');
        format.rate = number_of(value.substr(0, colon));
        format.rate_per = colon == std::string::npos ? -1 : number_of(value.substr(colon + 1));
        if (format.rate < 0 || format.rate_per < 0) refuse("a frame rate of \"" + value + "\"");
        if (format.rate == 0 || format.rate_per == 0) format.rate = 0, format.rate_per = 1;
        break;
      }
      case 'C':
        if (value == "420" || value == "420jpeg" || value == "420mpeg2" || value == "420paldv") {
          format.chroma = Chroma::k420;
        } else if (value == "422") {
          format.chroma = Chroma::k422;
        } else if (value == "444") {
          format.chroma = Chroma::k444;
        } else if (value == "mono") {
          format.chroma = Chroma::kGrey;
        } else {
          refuse("colours of the kind " + word);
        }
        break;
      case 'X':
        if (value == "COLORRANGE=FULL") format.full_range = true;
        break;
      default:  // interlacing, shape of pixels: the same for us
        break;
    }
  }
  if (format.width < 1 || format.height < 1 || format.width > kMaxPixels / format.height) {
    refuse(fmt::format("frames of {} x {} pixels, supported are 1 x 1 to {} pixels in total",
                       format.width, format.height, kMaxPixels));
  }
  return format;
}

VideoReader::VideoReader(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {
  const std::string header = line(kLongestHeader);
  if (header.empty()) throw FileError("{}: not a video stream: it is empty; {}", name_, kHint);
  format_ = parse_video_header(header, name_);
}

/// Reads a line, without its end; stops at the limit.
std::string VideoReader::line(size_t limit) {
  std::string text;
  for (int c = in_.get(); c != std::istream::traits_type::eof() && c != '\n'; c = in_.get()) {
    text.push_back(char(c));
    if (text.size() == limit) break;
  }
  return text;
}

bool VideoReader::next(std::vector<uint8_t>& planes) {
  if (in_.peek() == std::istream::traits_type::eof()) return false;
  const std::string begin = line(kLongestHeader);
  if (begin != kFrame && !begin.starts_with(std::string(kFrame) + " ")) {
    throw FileError("{}: no frame begins after frame {}: \"{}\"", name_, frames_,
                    printable(begin, 20));
  }
  // Memory is allocated as bytes arrive: a header alone must not cost gigabytes.
  constexpr int64_t kPiece = int64_t(1) << 24;
  const int64_t wanted = format_.frame_bytes();
  for (int64_t have = 0; have < wanted;) {
    const int64_t piece = std::min(kPiece, wanted - have);
    if (int64_t(planes.size()) != wanted) planes.resize(size_t(have + piece));
    in_.read(reinterpret_cast<char*>(planes.data()) + have, std::streamsize(piece));
    have += int64_t(in_.gcount());
    if (in_.gcount() != std::streamsize(piece)) {
      throw FileError("{}: ends within frame {}: {} of {} bytes", name_, frames_ + 1, have, wanted);
    }
  }
  ++frames_;
  return true;
}

void write_video_header(std::ostream& out, const VideoFormat& format) {
  out << format.header << '\n';
}

void write_video_frame(std::ostream& out, const std::vector<uint8_t>& planes) {
  out << kFrame << '\n';
  out.write(reinterpret_cast<const char*>(planes.data()), std::streamsize(planes.size()));
}

Image rgb_of_frame(const VideoFormat& format, const std::vector<uint8_t>& planes, Image memory) {
  check_planes(format, planes);
  Image image = std::move(memory);
  image.width = format.width;
  image.height = format.height;
  image.rgb.resize(size_t(format.width * format.height * 3));
  const Planes<const uint8_t> from = planes_of(format, planes.data());
  const ColourScales scales = scales_of(range_of(format));
  const Sharing shared = sharing_of(format.chroma);
  const bool is_grey = format.chroma == Chroma::kGrey;
  const std::vector<uint8_t> colourless(is_grey ? size_t(format.width) : 0, 128);
  parallel_for(format.height, 16, [&](int64_t y) {
    const int64_t row = y / shared.y * format.chroma_width();
    const uint8_t* const cb = is_grey ? colourless.data() : from.cb + row;
    const uint8_t* const cr = is_grey ? colourless.data() : from.cr + row;
    video_kernels().rgb_row(from.luma + y * format.width, cb, cr, shared.x, format.width, scales,
                            image.at(0, y));
  });
  return image;
}

void put_drawn_pixels(const VideoFormat& format, const Image& before, const Image& after,
                      std::vector<uint8_t>& planes) {
  check_planes(format, planes);
  for (const Image* image : {&before, &after}) {
    if (image->width != format.width || image->height != format.height) {
      throw ValueError("video: a picture of {} x {} for frames of {} x {}", image->width,
                       image->height, format.width, format.height);
    }
  }
  const Planes<uint8_t> to = planes_of(format, planes.data());
  const Range range = range_of(format);
  const Sharing shared = sharing_of(format.chroma);
  const auto luma_of = [](const uint8_t* p) {
    return kRed * float(p[0]) + kGreen * float(p[1]) + kBlue * float(p[2]);
  };
  // Pixels [x0, x1) of a row.
  const auto is_drawn = [&](int64_t x0, int64_t x1, int64_t y) {
    return std::memcmp(before.at(x0, y), after.at(x0, y), size_t(x1 - x0) * 3) != 0;
  };
  // By blocks of pixels that share a colour sample.
  const int64_t rows = (format.height + shared.y - 1) / shared.y;
  parallel_for(rows, 8, [&](int64_t row) {
    const int64_t y0 = row * shared.y, y1 = std::min(y0 + shared.y, format.height);
    const auto any_drawn = [&](int64_t x0, int64_t x1) {
      bool drawn = false;
      for (int64_t y = y0; y < y1; ++y) drawn = drawn || is_drawn(x0, x1, y);
      return drawn;
    };
    if (!any_drawn(0, format.width)) return;
    for (int64_t x0 = 0; x0 < format.width; x0 += shared.x) {
      const int64_t x1 = std::min(x0 + shared.x, format.width);
      if (!any_drawn(x0, x1)) continue;
      float cb = 0, cr = 0;
      for (int64_t y = y0; y < y1; ++y) {
        for (int64_t x = x0; x < x1; ++x) {
          const uint8_t* p = after.at(x, y);
          const float luma = luma_of(p);
          cb += (float(p[2]) - luma) / kCbScale;
          cr += (float(p[0]) - luma) / kCrScale;
          if (!is_drawn(x, x + 1, y)) continue;
          to.luma[y * format.width + x] = to_byte(luma / range.luma_scale + range.luma_offset);
        }
      }
      if (to.cb == nullptr) continue;
      const float pixels = float((y1 - y0) * (x1 - x0));
      const int64_t at = row * format.chroma_width() + x0 / shared.x;
      to.cb[at] = to_byte(cb / pixels / range.chroma_scale + 128);
      to.cr[at] = to_byte(cr / pixels / range.chroma_scale + 128);
    }
  });
}

}  // namespace ydistill
