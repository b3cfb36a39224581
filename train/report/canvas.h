// SPDX-License-Identifier: MIT
// A picture to draw plots on: smooth lines, areas, discs and text.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <ydistill/data/image.h>
#include <ydistill/train/report/stroke_font.h>

namespace ydistill {

struct Color {
  uint8_t r = 0, g = 0, b = 0;
};

/// A mixture of a (share 0) and b (share 1).
Color mixed(const Color& a, const Color& b, double share);
/// The colour of a series or class: ten that colour-blind readers can also tell apart, repeated.
Color series_color(int64_t index);
/// Dark blue (0) over violet and orange to light yellow (1); brightness rises throughout.
Color heat_color(double share);

/// Left, top, right and bottom in pixels; pixel i covers i to i + 1.
struct Area {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  double width() const { return x2 - x1; }
  double height() const { return y2 - y1; }
};

struct TextStyle {
  enum class Align { kLeft, kCentre, kRight };
  enum class Direction { kRight, kUp };
  double size = 11;  ///< height of a capital, pixels
  Color color = {40, 44, 52};
  Align align = Align::kLeft;
  Direction direction = Direction::kRight;
  bool bold = false;
};

/// All drawing is clipped to the picture. `alpha`: 0 invisible to 1 opaque.
class Canvas {
 public:
  Canvas(int64_t width, int64_t height, Color background = {255, 255, 255});
  int64_t width() const { return image_.width; }
  int64_t height() const { return image_.height; }
  const Image& image() const { return image_; }

  void fill(const Area& area, Color color, double alpha = 1);
  void frame(const Area& area, double width, Color color);
  void disc(Point centre, double radius, Color color, double alpha = 1);
  /// Through all points, with round joints and ends; drawn as one shape even if it crosses itself.
  void polyline(std::span<const Point> points, double width, Color color, double alpha = 1);
  /// `at`: along the line, the start (kLeft), middle or end of the text; across it, the middle of
  /// the capitals.
  void text(Point at, std::string_view text, const TextStyle& style = {});
  /// Pixels along the line.
  static double text_width(std::string_view text, const TextStyle& style = {});
  /// Copies a picture into an area, enlarged by repeating or shrunk by skipping pixels.
  void picture(const Area& area, const Image& image);

 private:
  void strokes(std::span<const Stroke> strokes, double width, Color color, double alpha);
  void blend(int64_t x, int64_t y, const Color& color, double alpha);
  Image image_;
};

}  // namespace ydistill
