// SPDX-License-Identifier: MIT
// Faults of datasets that reading their labels does not show: `ydistill check` looks for them in
// addition to Dataset::findings. Each finding states what training does about it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>

namespace ydistill {

/// A dataset and its role.
struct NamedDataset {
  std::string name;              ///< "train", "val"
  std::filesystem::path source;  ///< the file named in findings about the whole dataset
  std::shared_ptr<const Dataset> data;
};

/// Decodes every picture, on several threads; returns those that cannot be decoded.
std::vector<Finding> undecodable_pictures(const Dataset& dataset);

/// Pictures that one dataset lists twice, and different files of the same content, noting whether
/// their labels differ. Reads only files whose size in bytes occurs twice.
std::vector<Finding> repeated_pictures(const NamedDataset& set);

/// Pictures of `second` that are also in `first`, as the same file or by content. A single finding
/// if that is all of them.
std::vector<Finding> shared_pictures(const NamedDataset& first, const NamedDataset& second);

/// Classes without a single label.
std::vector<Finding> empty_classes(const NamedDataset& set);

}  // namespace ydistill
