// SPDX-License-Identifier: MIT
#include <ydistill/train/report/machine.h>

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    if (line.starts_with("model name") && colon != line.npos) return line.substr(colon + 2);
  }
  utsname system = {};
  return uname(&system) == 0 ? system.machine : "unknown";
}

std::string system_name() {
  utsname system = {};
  return uname(&system) == 0 ? fmt::format("{} {}", system.sysname, system.release) : "unknown";
}

}  // namespace

std::vector<Fact> machine_facts(const Compute& compute) {
  const double memory = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
  return {{"Processor", processor()},
          {"Cores",
           fmt::format("{}, {} threads used", std::thread::hardware_concurrency(), num_threads())},
          {"Memory", fmt::format("{:.1f} GiB", memory / 1073741824.0)},
          {"Device", describe(compute)},
          {"Convolutions", conv_backend_name(compute.device)},
          {"ydistill", YD_VERSION},
          {"Compiler", YD_COMPILER},
          {"System", system_name()}};
}

}  // namespace ydistill
