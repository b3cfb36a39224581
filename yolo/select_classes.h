// SPDX-License-Identifier: MIT
// A detector of other classes from one that knows them: of the head's output channels those of the
// wanted classes are kept. Each class has a sigmoid of its own, so what is found of it stays as it
// was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// In place of a class: the network has none such, and will never find it.
inline constexpr int64_t kNoClass = -1;
/// The class logit of kNoClass in every box: its sigmoid, 2e-9, is below any threshold.
inline constexpr float kNeverLogit = -20;

/// classes: of the checkpoint, in the order wanted, or kNoClass. names: what each is called then,
/// as many. of_unknown: the weights of a network of the wanted classes, such as a new one, whose
/// head stands in for kNoClass; where it has none of these shapes kNeverLogit does. A calibration
/// for 8 bits stays valid. Metadata is left out: it speaks of another network.
/// throws ValueError for classes that are not there, none at all or another number of names.
Checkpoint select_classes(const Checkpoint& checkpoint, const std::vector<int64_t>& classes,
                          const std::vector<std::string>& names,
                          const NamedTensors& of_unknown = {});

/// For each of `wanted` its place in `known`, or kNoClass where it is not there, is there twice, or
/// only stands for a name (class0).
std::vector<int64_t> classes_by_name(const std::vector<std::string>& wanted,
                                     const std::vector<std::string>& known);
/// Whether a name is one that a data set or a checkpoint without names gets: class0, class1, ...
bool is_stand_in_name(const std::string& name);

}  // namespace ydistill
