// SPDX-License-Identifier: MIT
// Plain data of a pickle as JSON.
#pragma once

#include <string>

#include <ydistill/tensor/io/pickle.h>

namespace ydistill {

/// Dictionaries (keys become text), lists, tuples, sets, text, numbers (numpy scalars too), None
/// and truth values, in their order. `what` begins every message. throws FileError for anything
/// else, naming it; for numbers that are not finite; for nesting beyond 32 or more than 100000
/// values (a pickle can share a list, or let it contain itself).
std::string pickle_to_json(const PickleDocument& document, PickleRef ref, const std::string& what);

}  // namespace ydistill
