// SPDX-License-Identifier: MIT
// Catch2, version 2.13 or 3, with skipping for both. Each TEST_CASE is a ctest entry of its own; a
// case that skips makes the program exit with kSkipExitCode, which ctest reports as skipped, never
// as passed. Names hold no commas, brackets, quotes or backslashes: ctest passes them on as
// filters.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

#include <string>

namespace ydistill::test {

inline constexpr int kSkipExitCode = 4;

void note_skip(const std::string& reason);

}  // namespace ydistill::test

/// Ends the test case as skipped and says why.
#define YD_SKIP(reason)                  \
  do {                                   \
    ::ydistill::test::note_skip(reason); \
    return;                              \
  } while (false)

/// The expression throws `Type` and its message contains `text`.
#define CHECK_THROWS_WITH_TEXT(expression, Type, text) \
  do {                                                 \
    std::string yd_message = "(nothing was thrown)";   \
    try {                                              \
      (void)(expression);                              \
    } catch (const Type& error) {                      \
      yd_message = error.what();                       \
    }                                                  \
    INFO("message: " << yd_message);                   \
    CHECK(yd_message.find(text) != std::string::npos); \
  } while (false)
