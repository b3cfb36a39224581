// SPDX-License-Identifier: MIT
#include <ydistill/data/outline.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <utility>

namespace ydistill {
namespace {

struct Bridge {
  size_t from = 0, to = 0;  // points of the outline and of the piece
  float squared_length = std::numeric_limits<float>::infinity();
};

Bridge shortest_bridge(const Polygon& outline, const Polygon& piece) {
  Bridge best;
  for (size_t i = 0; i < outline.size(); ++i) {
    for (size_t j = 0; j < piece.size(); ++j) {
      const float dx = outline[i][0] - piece[j][0], dy = outline[i][1] - piece[j][1];
      const float squared = dx * dx + dy * dy;
      if (squared < best.squared_length) best = {i, j, squared};
    }
  }
  return best;
}

}  // namespace

Polygon join_outlines(std::vector<Polygon> pieces) {
  if (pieces.empty()) return {};
  Polygon outline = std::move(pieces.front());
  for (size_t k = 1; k < pieces.size(); ++k) {
    Polygon& piece = pieces[k];
    const Bridge bridge = shortest_bridge(outline, piece);
    std::rotate(piece.begin(), piece.begin() + std::ptrdiff_t(bridge.to), piece.end());
    // ... from, to, the piece around to `to` again, from, ...
    piece.push_back(piece.front());
    piece.push_back(outline[bridge.from]);
    outline.insert(outline.begin() + std::ptrdiff_t(bridge.from) + 1, piece.begin(), piece.end());
  }
  return outline;
}

}  // namespace ydistill
