// SPDX-License-Identifier: MIT
// How long work reports and is stopped.
#pragma once

#include <functional>
#include <string>

namespace ydistill {

/// Takes one line of text, without its end.
using Say = std::function<void(const std::string&)>;
/// True: give up with StoppedError. Called by the calling thread, between pictures.
using Stop = std::function<bool()>;

}  // namespace ydistill
