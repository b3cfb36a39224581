// SPDX-License-Identifier: MIT
// Faults of datasets that reading their labels does not show: what `ydistill check` looks for
// besides Dataset::findings. Each finding says what training does about it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>

namespace ydistill {

/// A dataset and the part it plays.
struct NamedDataset {
  std::string name;              ///< "train", "val"
  std::filesystem::path source;  ///< what findings about the whole of it name
  std::shared_ptr<const Dataset> data;
};

/// Decodes every picture, on several threads; those that cannot be are listed.
std::vector<Finding> undecodable_pictures(const Dataset& dataset);

/// Pictures that one dataset lists twice, and different files of the same content; where the
/// labels differ that is said too. Reads those files whose size another one has.
std::vector<Finding> repeated_pictures(const NamedDataset& set);

/// Pictures of `second` that are in `first`, as the same file or by content. One finding where that
/// is all of them.
std::vector<Finding> shared_pictures(const NamedDataset& first, const NamedDataset& second);

/// Classes without a single label.
std::vector<Finding> empty_classes(const NamedDataset& set);

}  // namespace ydistill
