// SPDX-License-Identifier: MIT
#include "on_request.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include <ydistill/tensor/error.h>

namespace ydistill {

void answer_requests(const std::function<void()>& step, nlohmann::ordered_json about) {
  const auto say = [](const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
  };
  say("ready");
  for (std::string line; std::getline(std::cin, line);) {
    int count = 0;
    const char* const end = line.data() + line.size();
    const auto parsed = std::from_chars(line.data(), end, count);
    if (parsed.ec != std::errc() || parsed.ptr != end || count < 1) {
      throw ConfigError("--on-request: expected a count of steps on each line, got \"{}\"", line);
    }
    std::vector<double> ms;
    for (int i = 0; i < count; ++i) {
      const auto start = std::chrono::steady_clock::now();
      step();
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      ms.push_back(took.count());
    }
    about["ms"] = ms;
    say(about.dump());
  }
}

}  // namespace ydistill
