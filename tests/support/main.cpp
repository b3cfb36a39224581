// SPDX-License-Identifier: MIT
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <cstdio>
#include <string>
#include <vector>

#include "support/catch.h"

namespace ydistill::test {
namespace {
std::vector<std::string> skipped;
}

void note_skip(const std::string& reason) {
  skipped.push_back(Catch::getResultCapture().getCurrentTestName() + ": " + reason);
}

}  // namespace ydistill::test

int main(int argc, char** argv) {
  const int failed = Catch::Session().run(argc, argv);
  for (const std::string& line : ydistill::test::skipped) {
    std::printf("skipped: %s\n", line.c_str());
  }
  // Catch2 returns how many assertions failed, which could be the code that means skipped.
  if (failed != 0) return 1;
  return ydistill::test::skipped.empty() ? 0 : ydistill::test::kSkipExitCode;
}
