// SPDX-License-Identifier: MIT
// Everything is drawn as filled rectangles, also the letters of stb_easy_font.

#include <ydistill/detect/draw.h>

#include <stb/stb_easy_font.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include <ydistill/tensor/error.h>

namespace ydistill {

namespace {

using Color = std::array<uint8_t, 3>;

// Hues a golden section apart, so that neighbouring classes differ; three saturations and four
// brightnesses in turn.
constexpr std::array<uint32_t, 20> kPalette{0xF23D24, 0x4C64D9, 0x58B209, 0xFF26CA, 0x55F2EB,
                                            0xD9930B, 0x531BB2, 0x59FF66, 0xF20C3D, 0x217ED9,
                                            0x9BB23E, 0xE90DFF, 0x24F2A4, 0xD97A4C, 0x0F09B2,
                                            0x5EFF26, 0xF255AB, 0x0BB8D9, 0xB29E1B, 0xB959FF};

Color palette_color(int64_t index) {
  const int64_t size = int64_t(kPalette.size());
  const uint32_t rgb = kPalette[size_t(((index % size) + size) % size)];
  return {uint8_t(rgb >> 16), uint8_t(rgb >> 8), uint8_t(rgb)};
}

/// Black or white, whichever is more legible on `background` (ITU-R BT.601 luma).
Color contrast_color(const Color& background) {
  const double brightness = 0.299 * background[0] + 0.587 * background[1] + 0.114 * background[2];
  return brightness > 140 ? Color{0, 0, 0} : Color{255, 255, 255};
}

/// Fills pixels x1 <= x < x2, y1 <= y < y2, clipped to the picture.
struct Rect {
  int64_t x1, y1, x2, y2;
};

void fill(Image& image, const Rect& rect, const Color& color) {
  const int64_t x1 = std::max<int64_t>(rect.x1, 0), x2 = std::min(rect.x2, image.width);
  const int64_t y1 = std::max<int64_t>(rect.y1, 0), y2 = std::min(rect.y2, image.height);
  for (int64_t y = y1; y < y2; ++y) {
    for (int64_t x = x1; x < x2; ++x) std::copy(color.begin(), color.end(), image.at(x, y));
  }
}

void outline(Image& image, const Rect& box, int64_t width, const Color& color) {
  fill(image, {box.x1, box.y1, box.x2, box.y1 + width}, color);
  fill(image, {box.x1, box.y2 - width, box.x2, box.y2}, color);
  fill(image, {box.x1, box.y1, box.x1 + width, box.y2}, color);
  fill(image, {box.x2 - width, box.y1, box.x2, box.y2}, color);
}

/// The font knows printable ASCII only; any other character becomes one question mark.
std::string printable(const std::string& text) {
  constexpr size_t kLongest = 100;
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80) continue;  // a later byte of a UTF-8 character
    result += byte >= 32 && byte < 127 ? c : '?';
    if (result.size() == kLongest) break;
  }
  return result;
}

// stb_easy_font's units: capitals are 7 high, descenders reach to 9.
constexpr int64_t kTextHeight = 9;

struct Glyphs {
  std::vector<Rect> strokes;  ///< in font units
  int64_t width = 0;
};

Glyphs lay_out(const std::string& text) {
  struct Vertex {  // layout from the library's documentation
    float x, y, z;
    uint8_t rgba[4];
  };
  struct Quad {
    Vertex corners[4];  // clockwise from the top left
  };
  std::string copy = text;  // the library takes char*
  std::vector<Quad> quads(32 * text.size() + 1);
  const int count = stb_easy_font_print(0, 0, copy.data(), nullptr, quads.data(),
                                        int(quads.size() * sizeof(Quad)));
  Glyphs glyphs;
  glyphs.width = stb_easy_font_width(copy.data());
  for (int i = 0; i < count; ++i) {
    const Vertex& a = quads[size_t(i)].corners[0];
    const Vertex& b = quads[size_t(i)].corners[2];
    glyphs.strokes.push_back(
        {std::lround(a.x), std::lround(a.y), std::lround(b.x), std::lround(b.y)});
  }
  return glyphs;
}

void draw_label(Image& image, const Rect& box, const std::string& text, int64_t scale,
                const Color& background) {
  const Glyphs glyphs = lay_out(printable(text));
  const int64_t margin = scale;
  const int64_t width = glyphs.width * scale + 2 * margin;
  const int64_t height = kTextHeight * scale + 2 * margin;
  // Above the box, else just below its upper edge; shifted into the picture as far as possible.
  int64_t y = box.y1 - height;
  if (y < 0) y = std::max<int64_t>(box.y1, 0);
  const int64_t x = std::max<int64_t>(0, std::min(box.x1, image.width - width));
  fill(image, {x, y, x + width, y + height}, background);
  const Color ink = contrast_color(background);
  for (const Rect& r : glyphs.strokes) {
    fill(image,
         {x + margin + r.x1 * scale, y + margin + r.y1 * scale, x + margin + r.x2 * scale,
          y + margin + r.y2 * scale},
         ink);
  }
}

void check_image(const Image& image, const char* op) {
  if (image.width < 0 || image.height < 0 ||
      int64_t(image.rgb.size()) != image.width * image.height * 3) {
    throw ValueError("{}: a picture of {}x{} has 3 bytes a pixel, found {} bytes", op, image.width,
                     image.height, image.rgb.size());
  }
}

/// Clipped to just outside the picture, so that edges beyond it stay invisible.
int64_t to_pixel(float coordinate, int64_t size) {
  const double beyond = 1e4;
  return std::llround(std::clamp(double(coordinate), -beyond, double(size) + beyond));
}

}  // namespace

void draw_boxes(Image& image, std::span<const DrawnBox> boxes, const DrawOptions& options) {
  check_image(image, "draw_boxes");
  if (options.line_width < 0 || options.text_scale < 0) {
    throw ValueError("draw_boxes: line width {} and text scale {} must not be negative",
                     options.line_width, options.text_scale);
  }
  const double side = 0.5 * double(image.width + image.height);
  const int64_t line =
      options.line_width > 0 ? options.line_width : std::max(1L, std::lround(side / 300));
  const int64_t scale =
      options.text_scale > 0 ? options.text_scale : std::max(1L, std::lround(side / 450));
  for (const DrawnBox& box : boxes) {
    if (!std::isfinite(box.x1) || !std::isfinite(box.y1) || !std::isfinite(box.x2) ||
        !std::isfinite(box.y2) || box.x2 < box.x1 || box.y2 < box.y1) {
      continue;
    }
    const Color color = palette_color(box.color_index);
    const Rect rect{to_pixel(box.x1, image.width), to_pixel(box.y1, image.height),
                    to_pixel(box.x2, image.width), to_pixel(box.y2, image.height)};
    outline(image, rect, line, color);
    if (!box.label.empty()) draw_label(image, rect, box.label, scale, color);
  }
}

Image mosaic_grid(std::span<const Image> images, int64_t columns) {
  if (images.empty()) throw ValueError("mosaic_grid: needs at least one picture");
  if (columns < 1) throw ValueError("mosaic_grid: columns must be >= 1, got {}", columns);
  constexpr int64_t kGap = 4;
  constexpr uint8_t kGrey = 114;
  int64_t cell_width = 0, cell_height = 0;
  for (const Image& image : images) {
    check_image(image, "mosaic_grid");
    cell_width = std::max(cell_width, image.width + kGap);
    cell_height = std::max(cell_height, image.height + kGap);
  }
  const int64_t count = int64_t(images.size());
  columns = std::min(columns, count);
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t width = columns * cell_width + kGap, height = rows * cell_height + kGap;
  if (width > kMaxPixels / height) {
    throw ValueError("mosaic_grid: a sheet of {}x{} pixels is beyond {}", width, height,
                     kMaxPixels);
  }
  Image sheet = Image::filled(width, height, kGrey);
  for (int64_t i = 0; i < count; ++i) {
    const Image& image = images[size_t(i)];
    const int64_t x = kGap + i % columns * cell_width + (cell_width - kGap - image.width) / 2;
    const int64_t y = kGap + i / columns * cell_height + (cell_height - kGap - image.height) / 2;
    for (int64_t row = 0; row < image.height; ++row) {
      std::copy_n(image.at(0, row), image.width * 3, sheet.at(x, y + row));
    }
  }
  return sheet;
}

}  // namespace ydistill
