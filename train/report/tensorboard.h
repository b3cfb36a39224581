// SPDX-License-Identifier: MIT
// TensorBoard's event files, written without TensorFlow.
//
// A file is a sequence of records (TFRecord): length uint64, masked CRC-32C of those 8 bytes, data,
// masked CRC-32C of the data, all little-endian. The data of a record is a protobuf message:
//   Event          1 wall_time double, 2 step int64, 3 file_version string, 5 summary Summary
//   Summary        1 value Value, repeated
//   Summary.Value  1 tag string, 2 simple_value float, 4 image Image
//   Image          1 height, 2 width, 3 colorspace, 4 encoded_image_string (PNG or JPEG)
// Source: tensorflow/core/util/event.proto, framework/summary.proto, lib/io/record_writer.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ydistill {

/// CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4) of the bytes.
uint32_t crc32c(std::string_view bytes);
/// The form in which a record stores it: rotated by 15 bits, plus a constant.
uint32_t masked_crc32c(std::string_view bytes);

struct ScalarSummary {
  std::string tag;
  double value = 0;
};

struct ImageSummary {
  std::string tag;
  int64_t width = 0, height = 0;  ///< pixels
  std::string file;               ///< bytes of a PNG or JPEG file
};

/// The values and pictures of one step.
struct TensorBoardEvent {
  double wall_time = 0;  ///< seconds since 1970
  int64_t step = 0;
  std::vector<ScalarSummary> scalars;
  std::vector<ImageSummary> images;
};

/// A whole event file.
std::string encode_event_file(std::span<const TensorBoardEvent> events);

/// Makes the file contain these events. If its content is the beginning of them, possibly cut
/// within a record, the rest is appended, so that a TensorBoard that has the file open goes on
/// reading; else the file is replaced. So a run that was killed and resumed has no step twice.
/// throws FileError.
void update_event_file(const std::filesystem::path& path, std::span<const TensorBoardEvent> events);

}  // namespace ydistill
