// SPDX-License-Identifier: MIT
// Uncompressed video for pipes between programs: YUV4MPEG2 (mjpegtools, man yuv4mpeg), which
// FFmpeg, GStreamer, mpv and x264 read or write.
//
//   YUV4MPEG2 W640 H360 F30:1 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n
//   FRAME\n  Y plane, Cb plane, Cr plane; 8 bits per sample, dense rows   FRAME\n ...
//
// Colours are converted by ITU-R BT.601, the default of OpenCV and FFmpeg too; a sample of Cb or Cr
// applies to all pixels that share it.
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
  int64_t rate = 0, rate_per = 1;  ///< rate / rate_per frames per second; 0: unknown
  std::string header;              ///< the stream's first line, without the line end

  int64_t chroma_width() const;   ///< of Cb and Cr, in samples; 0 in grey video
  int64_t chroma_height() const;  ///< likewise
  int64_t frame_bytes() const;
};

/// throws FileError, with `name` and the expected form, for a line that is no header of 8-bit
/// video.
VideoFormat parse_video_header(const std::string& line, const std::string& name);

class VideoReader {
 public:
  /// Reads the header. in: binary, must outlive the reader. name: for messages. throws FileError.
  VideoReader(std::istream& in, std::string name);

  const VideoFormat& format() const { return format_; }
  /// The next frame's planes, format().frame_bytes() in total; false at the end of the stream.
  /// throws FileError if the stream ends within a frame, or if no frame begins here.
  bool next(std::vector<uint8_t>& planes);

 private:
  std::string line(size_t limit);

  std::istream& in_;
  std::string name_;
  VideoFormat format_;
  int64_t frames_ = 0;
};

/// Write a stream of the same format. Errors are left in the state of `out`.
void write_video_header(std::ostream& out, const VideoFormat& format);
void write_video_frame(std::ostream& out, const std::vector<uint8_t>& planes);

/// A frame as an RGB picture. memory: an earlier picture whose memory is reused. throws ValueError
/// for planes of another size.
Image rgb_of_frame(const VideoFormat& format, const std::vector<uint8_t>& planes,
                   Image memory = {});

/// Writes what was drawn on a frame's picture into its planes. Samples of pixels that are equal in
/// both pictures keep their value, except Cb and Cr shared with changed pixels. throws ValueError
/// for sizes that do not agree.
void put_drawn_pixels(const VideoFormat& format, const Image& before, const Image& after,
                      std::vector<uint8_t>& planes);

}  // namespace ydistill
