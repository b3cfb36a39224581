// SPDX-License-Identifier: MIT
// Pictures and datasets for the tests of data/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/data/image.h>
#include <ydistill/data/loader.h>

namespace ydistill::test {

/// A smooth picture without symmetry: red grows to the right, green downwards, blue falls.
Image slope(int64_t width, int64_t height);
/// Uniform noise, the same for the same numbers.
Image noise(int64_t width, int64_t height, uint64_t seed);

/// Largest and mean difference in grey levels. Sizes must agree.
struct Difference {
  int largest = 0;
  double mean = 0;
};
Difference difference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b);

/// The JPEG with an EXIF block (APP1) of this orientation put behind its first marker.
std::string with_orientation(const std::string& jpeg, int orientation, bool little_endian);
enum class ExifPlace { kFirst, kLast };
/// The PNG with an eXIf chunk of this orientation, behind the header or before the end chunk.
std::string with_orientation_png(const std::string& png, int orientation, ExifPlace place);

/// Writes noise pictures 0.png, 1.png, ... of these sizes to folder/images, each with one label of
/// class i in folder/labels.
void write_yolo_set(const std::filesystem::path& folder,
                    const std::vector<std::pair<int64_t, int64_t>>& sizes);

/// All finding texts, one a line.
std::string all_findings(const std::vector<Finding>& findings);

/// All bytes of a batch as text, for comparing.
std::string bytes_of(const Batch& batch);

}  // namespace ydistill::test
