// SPDX-License-Identifier: MIT
// Makes a detector of selected classes from one that has them: only the wanted classes' output
// channels of the heads are kept. Each class has its own sigmoid, so its scores do not change.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// In place of a class id: a class that the network does not have and will never find.
inline constexpr int64_t kNoClass = -1;
/// The class logit of kNoClass in every box: its sigmoid, 2e-9, is below any threshold.
inline constexpr float kNeverLogit = -20;

/// classes: ids of the checkpoint in the wanted order, or kNoClass. names: their new names, as
/// many. of_unknown: weights of a network of the wanted classes, such as a new one, whose head
/// supplies the rows of kNoClass; kNeverLogit is used if it has no tensor of that shape. A
/// calibration for int8 stays valid. Metadata is dropped: it describes another network.
/// throws ValueError for ids out of range, no classes, or another number of names.
Checkpoint select_classes(const Checkpoint& checkpoint, const std::vector<int64_t>& classes,
                          const std::vector<std::string>& names,
                          const NamedTensors& of_unknown = {});

/// For each of `wanted` its index in `known`, or kNoClass if it is not there, is there twice, or is
/// only a stand-in name (class0).
std::vector<int64_t> classes_by_name(const std::vector<std::string>& wanted,
                                     const std::vector<std::string>& known);
/// Whether a name is one that a data set or a checkpoint without names gets: class0, class1, ...
bool is_stand_in_name(const std::string& name);

}  // namespace ydistill
