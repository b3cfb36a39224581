// SPDX-License-Identifier: MIT
#include <ydistill/train/report/canvas.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace ydistill {
namespace {

Color color_of(uint32_t rgb) {
  return {uint8_t(rgb >> 16), uint8_t(rgb >> 8), uint8_t(rgb)};
}

double distance_to_segment(Point p, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double length2 = dx * dx + dy * dy;
  const double t =
      length2 > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length2, 0.0, 1.0) : 0.0;
  return std::hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

/// How much of the pixel from i to i + 1 lies between a and b.
double overlap(int64_t i, double a, double b) {
  return std::clamp(std::min(b, double(i + 1)) - std::max(a, double(i)), 0.0, 1.0);
}

int64_t clamped_floor(double v, int64_t limit) {
  return int64_t(std::clamp(std::floor(v), 0.0, double(limit)));
}
int64_t clamped_ceil(double v, int64_t limit) {
  return int64_t(std::clamp(std::ceil(v), 0.0, double(limit)));
}

}  // namespace

Color mixed(const Color& a, const Color& b, double share) {
  const double s = std::clamp(share, 0.0, 1.0);
  const auto mix = [s](uint8_t x, uint8_t y) {
    return uint8_t(std::lround((1 - s) * double(x) + s * double(y)));
  };
  return {mix(a.r, b.r), mix(a.g, b.g), mix(a.b, b.b)};
}

Color series_color(int64_t index) {
  // page/page.css has the same ten colours, as --series-0 to --series-9.
  constexpr std::array<uint32_t, 10> kSeries{0x2563EB, 0xEA580C, 0x059669, 0xDB2777, 0x7C3AED,
                                             0xB45309, 0x0891B2, 0xDC2626, 0x4D7C0F, 0x64748B};
  return color_of(kSeries[size_t(((index % 10) + 10) % 10)]);
}

Color heat_color(double share) {
  constexpr std::array<uint32_t, 7> kStops{0x000820, 0x2A0F63, 0x721A6E, 0xB73757,
                                           0xED6925, 0xFBB61A, 0xFCFFA4};
  const double at = std::clamp(std::isfinite(share) ? share : 0.0, 0.0, 1.0) * 6;
  const size_t i = std::min<size_t>(size_t(at), 5);
  return mixed(color_of(kStops[i]), color_of(kStops[i + 1]), at - double(i));
}

Canvas::Canvas(int64_t width, int64_t height, Color background)
    : image_(Image::filled(width, height, 255)) {
  fill({0, 0, double(width), double(height)}, background);
}

void Canvas::blend(int64_t x, int64_t y, const Color& color, double alpha) {
  uint8_t* p = image_.at(x, y);
  const Color c = mixed({p[0], p[1], p[2]}, color, alpha);
  p[0] = c.r;
  p[1] = c.g;
  p[2] = c.b;
}

void Canvas::fill(const Area& area, Color color, double alpha) {
  const int64_t x1 = clamped_floor(area.x1, width()), x2 = clamped_ceil(area.x2, width());
  const int64_t y1 = clamped_floor(area.y1, height()), y2 = clamped_ceil(area.y2, height());
  for (int64_t y = y1; y < y2; ++y) {
    const double rows = overlap(y, area.y1, area.y2);
    for (int64_t x = x1; x < x2; ++x) {
      blend(x, y, color, alpha * rows * overlap(x, area.x1, area.x2));
    }
  }
}

void Canvas::frame(const Area& area, double width, Color color) {
  fill({area.x1, area.y1, area.x2, area.y1 + width}, color);
  fill({area.x1, area.y2 - width, area.x2, area.y2}, color);
  fill({area.x1, area.y1, area.x1 + width, area.y2}, color);
  fill({area.x2 - width, area.y1, area.x2, area.y2}, color);
}

void Canvas::disc(Point centre, double radius, Color color, double alpha) {
  polyline(std::array{centre}, 2 * radius, color, alpha);
}

void Canvas::polyline(std::span<const Point> points, double width, Color color, double alpha) {
  const std::array<Stroke, 1> one{Stroke(points.begin(), points.end())};
  strokes(one, width, color, alpha);
}

void Canvas::strokes(std::span<const Stroke> strokes, double width, Color color, double alpha) {
  const double reach = width / 2 + 1;
  double x1 = 1e9, y1 = 1e9, x2 = -1e9, y2 = -1e9;
  for (const Stroke& stroke : strokes) {
    for (const Point& p : stroke) {
      x1 = std::min(x1, p.x - reach);
      x2 = std::max(x2, p.x + reach);
      y1 = std::min(y1, p.y - reach);
      y2 = std::max(y2, p.y + reach);
    }
  }
  const int64_t left = clamped_floor(x1, this->width()), right = clamped_ceil(x2, this->width());
  const int64_t top = clamped_floor(y1, height()), bottom = clamped_ceil(y2, height());
  if (left >= right || top >= bottom) return;
  // How much of each pixel is covered by all segments together, so that joints are not drawn twice.
  std::vector<float> covered(size_t((right - left) * (bottom - top)), 0.0f);
  const auto cover = [&](Point a, Point b) {
    const int64_t c1 = std::max(left, clamped_floor(std::min(a.x, b.x) - reach, this->width()));
    const int64_t c2 = std::min(right, clamped_ceil(std::max(a.x, b.x) + reach, this->width()));
    const int64_t r1 = std::max(top, clamped_floor(std::min(a.y, b.y) - reach, height()));
    const int64_t r2 = std::min(bottom, clamped_ceil(std::max(a.y, b.y) + reach, height()));
    for (int64_t y = r1; y < r2; ++y) {
      for (int64_t x = c1; x < c2; ++x) {
        const double away = distance_to_segment({double(x) + 0.5, double(y) + 0.5}, a, b);
        float& share = covered[size_t((y - top) * (right - left) + x - left)];
        share = std::max(share, float(std::clamp(width / 2 + 0.5 - away, 0.0, 1.0)));
      }
    }
  };
  for (const Stroke& stroke : strokes) {
    if (stroke.size() == 1) cover(stroke[0], stroke[0]);
    for (size_t i = 0; i + 1 < stroke.size(); ++i) cover(stroke[i], stroke[i + 1]);
  }
  // A line thinner than a pixel is drawn one pixel wide, but fainter.
  const double strength = alpha * std::min(1.0, width);
  for (int64_t y = top; y < bottom; ++y) {
    for (int64_t x = left; x < right; ++x) {
      const float share = covered[size_t((y - top) * (right - left) + x - left)];
      if (share > 0) blend(x, y, color, strength * double(share));
    }
  }
}

double Canvas::text_width(std::string_view text, const TextStyle& style) {
  return lay_out(text).width * style.size;
}

void Canvas::text(Point at, std::string_view text, const TextStyle& style) {
  LaidOutText laid_out = lay_out(text);
  const double length = laid_out.width * style.size;
  const double before = style.align == TextStyle::Align::kLeft     ? 0
                        : style.align == TextStyle::Align::kCentre ? length / 2
                                                                   : length;
  for (Stroke& stroke : laid_out.strokes) {
    for (Point& p : stroke) {
      const double along = p.x * style.size - before, across = (p.y - 0.5) * style.size;
      p = style.direction == TextStyle::Direction::kRight ? Point{at.x + along, at.y + across}
                                                          : Point{at.x + across, at.y - along};
    }
  }
  strokes(laid_out.strokes, style.size * (style.bold ? 0.2 : 0.135), style.color, 1);
}

void Canvas::picture(const Area& area, const Image& image) {
  const int64_t x1 = clamped_floor(area.x1, width()), x2 = clamped_floor(area.x2, width());
  const int64_t y1 = clamped_floor(area.y1, height()), y2 = clamped_floor(area.y2, height());
  for (int64_t y = y1; y < y2; ++y) {
    const int64_t row = std::min(image.height - 1, (y - y1) * image.height / (y2 - y1));
    for (int64_t x = x1; x < x2; ++x) {
      const int64_t column = std::min(image.width - 1, (x - x1) * image.width / (x2 - x1));
      std::copy_n(image.at(column, row), 3, image_.at(x, y));
    }
  }
}

}  // namespace ydistill
