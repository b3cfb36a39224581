// SPDX-License-Identifier: MIT
#include <ydistill/train/pictures.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <ydistill/data/resize.h>
#include <ydistill/detect/draw.h>

namespace ydistill {
namespace {

constexpr int64_t kPicturesOnSheet = 16;
constexpr int64_t kColumns = 4;
constexpr int64_t kMaxSheetSide = 8192;  // JPEG ends at 65500, viewers before that
constexpr float kDrawnScore = 0.25f;

Image picture_of(const Batch& batch, int64_t i) {
  const Tensor image = batch.images.slice(i, i + 1);
  const auto bytes = image.span<uint8_t>();
  return {image.size(2), image.size(1), {bytes.begin(), bytes.end()}};
}

std::string name_of_class(const std::vector<std::string>& names, int64_t id) {
  return id >= 0 && id < int64_t(names.size()) ? names[size_t(id)] : std::to_string(id);
}

/// A picture for a sheet of `count`: made smaller if the sheet would be too large.
Image fitted(Image picture, int64_t count) {
  const int64_t columns = std::min(kColumns, count), rows = (count + columns - 1) / columns;
  const double share = std::min(double(kMaxSheetSide / columns) / double(picture.width),
                                double(kMaxSheetSide / rows) / double(picture.height));
  if (share >= 1) return picture;
  const auto shrunk = [share](int64_t side) {
    return std::max<int64_t>(1, int64_t(std::floor(double(side) * share)));
  };
  return resize(picture, shrunk(picture.width), shrunk(picture.height), Interpolation::kArea);
}

void write_sheet(const std::filesystem::path& path, const std::vector<Image>& pictures) {
  write_jpeg(path, mosaic_grid(pictures, std::min<int64_t>(kColumns, int64_t(pictures.size()))),
             90);
}

}  // namespace

void draw_labels(const std::filesystem::path& path, const Batch& batch,
                 const std::vector<std::string>& class_names) {
  std::vector<Image> pictures;
  const auto rows = batch.targets.span<float>();
  const int64_t count = std::min(batch.images.size(0), kPicturesOnSheet);
  for (int64_t i = 0; i < count; ++i) {
    Image picture = picture_of(batch, i);
    const float width = float(picture.width), height = float(picture.height);
    std::vector<DrawnBox> boxes;
    for (size_t r = 0; r + 6 <= rows.size(); r += 6) {
      if (int64_t(rows[r]) != i) continue;
      const int64_t id = int64_t(rows[r + 1]);
      boxes.push_back(
          {(rows[r + 2] - rows[r + 4] / 2) * width, (rows[r + 3] - rows[r + 5] / 2) * height,
           (rows[r + 2] + rows[r + 4] / 2) * width, (rows[r + 3] + rows[r + 5] / 2) * height,
           name_of_class(class_names, id), id});
    }
    draw_boxes(picture, boxes);
    pictures.push_back(fitted(std::move(picture), count));
  }
  write_sheet(path, pictures);
}

void draw_detections(const std::filesystem::path& path, const Batch& batch,
                     const std::vector<std::vector<Detection>>& detections,
                     const std::vector<std::string>& class_names) {
  std::vector<Image> pictures;
  const int64_t count = std::min(batch.images.size(0), kPicturesOnSheet);
  for (int64_t i = 0; i < count; ++i) {
    Image picture = picture_of(batch, i);
    std::vector<DrawnBox> boxes;
    for (const Detection& d : detections.at(size_t(i))) {
      if (d.score < kDrawnScore) continue;
      boxes.push_back({d.x1, d.y1, d.x2, d.y2,
                       fmt::format("{} {:.2f}", name_of_class(class_names, d.class_id), d.score),
                       d.class_id});
    }
    std::reverse(boxes.begin(), boxes.end());  // the highest-scoring on top
    draw_boxes(picture, boxes);
    pictures.push_back(fitted(std::move(picture), count));
  }
  write_sheet(path, pictures);
}

}  // namespace ydistill
