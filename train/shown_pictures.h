// SPDX-License-Identifier: MIT
// Validation pictures for the report: those on which a network does worst and best, and maps of
// where it and its teacher see objects.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/train/evaluate.h>
#include <ydistill/train/report/record.h>

namespace ydistill {

/// Collects the worst and the best pictures by their F1 (score > 0.25, IoU > 0.45, correct class).
/// Ties: more errors first for the worst, more labels first for the best, then the order of the
/// data set. Pictures with neither labels nor detections are skipped.
class ShownPictures {
 public:
  explicit ShownPictures(size_t most = 6) : most_(most) {}
  void add(const EvaluatedBatch& evaluated, const Dataset& dataset);
  std::vector<ShownPicture> worst() const;
  std::vector<ShownPicture> best() const;

 private:
  struct Kept {
    double order[3];  // smaller comes first
    ShownPicture picture;
  };
  void keep(std::vector<Kept>& list, const Kept& kept) const;
  size_t most_;
  std::vector<Kept> worst_, best_;
};

/// Draws the objectness of the first labelled pictures: the largest sigmoid over the anchors and
/// scales of each cell of the finest grid, as colours over the grey picture.
class ObjectnessPictures {
 public:
  struct Taken {
    std::string name, picture, map;  ///< of the file; then JPEG bytes
  };
  explicit ObjectnessPictures(size_t most = 4) : most_(most) {}
  void add(const EvaluatedBatch& evaluated, const Dataset& dataset);
  const std::vector<Taken>& taken() const { return taken_; }

 private:
  size_t most_;
  std::vector<Taken> taken_;
};

}  // namespace ydistill
