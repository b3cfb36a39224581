// SPDX-License-Identifier: MIT
// Shared by the writers of the three formats. Internal: users call write_dataset.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <ydistill/data/write_dataset.h>

namespace ydistill::writing {

/// A sample with its name in the output.
struct NamedSample {
  const Sample* sample = nullptr;
  std::string stem;    ///< unique in the whole output, well-formed UTF-8
  std::string suffix;  ///< ".jpg"
  std::string file_name() const { return stem + suffix; }
};

struct NamedSplit {
  std::string name;
  const Dataset* data = nullptr;
  std::vector<NamedSample> samples;
};

/// Corners in pixels of the picture.
struct PixelBox {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};
PixelBox pixel_box(const Label& label, const Sample& sample);

/// Whether the label has an outline with an area.
bool has_outline(const Label& label);

/// `value` with up to three decimals, without trailing zeros.
std::string pixels(double value);

/// Creates a folder and its parents. throws FileError.
void make_folder(const std::filesystem::path& folder);
/// Writes a small new file, creating its folder. throws FileError.
void write_text(const std::filesystem::path& file, const std::string& text);

void write_yolo(std::span<const NamedSplit> splits, const std::filesystem::path& folder);
void write_voc(std::span<const NamedSplit> splits, const std::filesystem::path& folder);
void write_coco(std::span<const NamedSplit> splits, const std::filesystem::path& folder);

/// The folder where a format keeps the pictures of a split.
std::filesystem::path picture_folder(DatasetFormat format, const std::string& split);

}  // namespace ydistill::writing
