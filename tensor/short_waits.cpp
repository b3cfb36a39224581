// SPDX-License-Identifier: MIT
#include <ydistill/tensor/short_waits.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <ydistill/tensor/parallel.h>

namespace ydistill {

void restart_with_short_waits(char** argv) {
  constexpr const char* kSetting = "GOMP_SPINCOUNT";
  constexpr const char* kSpins = "3000";
  constexpr const char* kProgram = "/proc/self/exe";
  if (std::getenv(kSetting) != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  if (num_threads() == 1 || argv[0] == nullptr) return;
  // Started by hand through the loader, "the program" is the loader.
  std::error_code error;
  const auto program = std::filesystem::read_symlink(kProgram, error);
  if (error || program.filename() != std::filesystem::path(argv[0]).filename()) return;
  if (setenv(kSetting, kSpins, 0) != 0) return;
  execv(kProgram, argv);
  unsetenv(kSetting);  // it could not be restarted, so nobody has read that
}

}  // namespace ydistill
