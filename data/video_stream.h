// SPDX-License-Identifier: MIT
// Uncompressed video as programs hand it to each other through pipes: YUV4MPEG2 (mjpegtools,
// man yuv4mpeg), which FFmpeg, GStreamer, mpv and x264 read and write.
//
//   YUV4MPEG2 W640 H360 F30:1 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n
//   FRAME\n  Y plane, Cb plane, Cr plane; 8 bits a sample, dense rows   FRAME\n ...
//
// Colours are those of ITU-R BT.601, which OpenCV and FFmpeg's conversions take too unless told
// otherwise; a sample of Cb or Cr counts for the pixels that share it.
#pragma once

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include <ydistill/data/image.h>

namespace ydistill {

struct VideoFormat {
  enum class Chroma { k420, k422, k444, kGrey };

  int64_t width = 0, height = 0;  ///< pixels
  Chroma chroma = Chroma::k420;
  bool full_range = false;         ///< samples 0..255; else 16..235 and 16..240
  int64_t rate = 0, rate_per = 1;  ///< rate / rate_per frames a second; 0: not said
  std::string header;              ///< the stream's first line, without its end

  int64_t chroma_width() const;   ///< of Cb and Cr, in samples; 0 in grey video
  int64_t chroma_height() const;  ///< the same
  int64_t frame_bytes() const;
};

/// throws FileError, naming `name` and what would be right, for a line that is no header of 8-bit
/// video.
VideoFormat parse_video_header(const std::string& line, const std::string& name);

class VideoReader {
 public:
  /// Reads the header. in: binary; outlives the reader. name: for messages. throws FileError.
  VideoReader(std::istream& in, std::string name);

  const VideoFormat& format() const { return format_; }
  /// The next frame's planes, format().frame_bytes() in all; false at the end of the stream. throws
  /// FileError where that comes within a frame, or where no frame begins.
  bool next(std::vector<uint8_t>& planes);

 private:
  std::string line(size_t limit);

  std::istream& in_;
  std::string name_;
  VideoFormat format_;
  int64_t frames_ = 0;
};

/// Writes a stream of the same format. Errors stay in `out`, as its state.
void write_video_header(std::ostream& out, const VideoFormat& format);
void write_video_frame(std::ostream& out, const std::vector<uint8_t>& planes);

/// The picture of a frame. memory: of an earlier one, to be used again. throws ValueError for
/// planes of another size.
Image rgb_of_frame(const VideoFormat& format, const std::vector<uint8_t>& planes,
                   Image memory = {});

/// Puts what was drawn on a frame's picture into its planes: samples of pixels that are the same in
/// both pictures keep their value, but for Cb and Cr that they share with others. throws ValueError
/// for sizes that do not fit together.
void put_drawn_pixels(const VideoFormat& format, const Image& before, const Image& after,
                      std::vector<uint8_t>& planes);

}  // namespace ydistill
