// SPDX-License-Identifier: MIT
// Converts plain data of a pickle to JSON.
#pragma once

#include <string>

#include <ydistill/tensor/io/pickle.h>

namespace ydistill {

/// Converts dictionaries (keys become text), lists, tuples, sets, text, numbers (numpy scalars
/// too), None and booleans, in their order. what: prefix of messages. throws FileError for any
/// other node, naming it; for numbers that are not finite; for nesting beyond 32 or more than
/// 100000 values (a pickle can share a list, or a list can contain itself).
std::string pickle_to_json(const PickleDocument& document, PickleRef ref, const std::string& what);

}  // namespace ydistill
