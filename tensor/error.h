// SPDX-License-Identifier: MIT
// The exceptions of ydistill. Every message is one line: the fault, the value found, the value
// expected. Library code never prints and never exits; the tools turn these into one line and a
// non-zero exit code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace ydistill {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  template <class First, class... Args>
  explicit Error(fmt::format_string<First, Args...> text, First&& first, Args&&... args)
      : std::runtime_error(
            fmt::format(text, std::forward<First>(first), std::forward<Args>(args)...)) {}
};

#define YD_DEFINE_ERROR(Name) \
  class Name : public Error { \
   public:                    \
    using Error::Error;       \
  }

YD_DEFINE_ERROR(ShapeError);        ///< sizes that do not agree
YD_DEFINE_ERROR(DTypeError);        ///< an element type the operation does not take
YD_DEFINE_ERROR(DeviceError);       ///< operands on different devices, or an unsupported device
YD_DEFINE_ERROR(ValueError);        ///< a number or name outside its range
YD_DEFINE_ERROR(FileError);         ///< a file that is missing, unreadable, malformed or unwritable
YD_DEFINE_ERROR(ConfigError);       ///< a configuration key or value; the message names its path
YD_DEFINE_ERROR(OutOfMemoryError);  ///< a request beyond the memory limit; names both sizes
YD_DEFINE_ERROR(NotFiniteError);    ///< NaN or infinity where a finite number is required
YD_DEFINE_ERROR(StoppedError);      ///< work cancelled on request
YD_DEFINE_ERROR(LibraryError);      ///< a status of oneDNN, CUDA, cuDNN, ...: expression and text

#undef YD_DEFINE_ERROR

}  // namespace ydistill
