// SPDX-License-Identifier: MIT
// Valid files with bytes changed or cut: only errors of ours may come out, and memory stays small.
#pragma once

#include <sys/resource.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/random.h>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {

inline int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t(usage.ru_maxrss) * 1024;
}

/// One to four bytes changed, or the end cut off.
inline std::string damaged(const std::string& bytes, Rng& rng) {
  std::string out = bytes;
  if (rng.below(8) == 0) return out.substr(0, size_t(rng.below(int64_t(out.size()))));
  for (int64_t n = rng.below(4); n >= 0; --n) {
    char& at = out[size_t(rng.below(int64_t(out.size())))];
    const char extremes[] = {'\0', '\xff', '\x7f', '\x80'};
    at = rng.below(2) == 0 ? char(rng.below(256)) : extremes[rng.below(4)];
  }
  return out;
}

/// The same for text: a number becomes one that is hard to bear, a piece is left out or comes
/// twice, or bytes change.
inline std::string damaged_text(const std::string& text, Rng& rng) {
  if (rng.below(3) == 0) return damaged(text, rng);
  const auto somewhere = [&] { return size_t(rng.below(int64_t(text.size()))); };
  size_t begin = somewhere(), end = begin;
  if (rng.below(2) == 0) {
    const std::string piece = text.substr(begin, size_t(rng.below(24)));
    return rng.below(2) == 0 ? text.substr(0, begin) + text.substr(begin + piece.size())
                             : text.substr(0, begin) + piece + text.substr(begin);
  }
  while (begin < text.size() && !std::isdigit(uint8_t(text[begin]))) ++begin;
  for (end = begin; end < text.size() && std::isdigit(uint8_t(text[end]));) ++end;
  const char* const hard[] = {"99999999999999999999",
                              "-1",
                              "1e999",
                              "nan",
                              "0",
                              "2147483648",
                              "0.5",
                              "-0",
                              "1e-320",
                              "inf",
                              "",
                              "4294967297"};
  return text.substr(0, begin) + hard[rng.below(12)] + text.substr(end);
}

/// Returns how many of `rounds` damaged files were refused; the rest were read. `read_damaged`
/// writes `file` and reads it. Fails for an error of more than one line, or of no type of ours.
/// YDISTILL_FUZZ_FACTOR in the environment: so many times as many rounds.
inline int count_refused(int rounds, const std::filesystem::path& file,
                         const std::function<void(Rng&)>& read_damaged) {
  if (const char* factor = std::getenv("YDISTILL_FUZZ_FACTOR")) rounds *= std::atoi(factor);
  int refused = 0;
  const int64_t before = peak_bytes();
  for (int round = 0; round < rounds; ++round) {
    Rng rng(1, 0, uint64_t(round));
    // Removed rather than overwritten: some file systems flush a file that is replaced.
    std::filesystem::remove(file);
    try {
      read_damaged(rng);
    } catch (const Error& error) {
      ++refused;
      if (std::string(error.what()).find('\n') != std::string::npos) FAIL(error.what());
    } catch (const std::exception& error) {
      FAIL("round " << round << ": " << error.what());
    }
  }
  CHECK(peak_bytes() - before < int64_t(400) << 20);
  return refused;
}

}  // namespace ydistill::test
