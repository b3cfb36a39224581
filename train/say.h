// SPDX-License-Identifier: MIT
// How work that takes long reports, and how it is stopped.
#pragma once

#include <functional>
#include <string>

namespace ydistill {

/// Takes one line of text, without its end.
using Say = std::function<void(const std::string&)>;
/// True: give up with StoppedError. Called by the calling thread, between pictures.
using Stop = std::function<bool()>;

}  // namespace ydistill
