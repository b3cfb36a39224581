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
  // If the program was started through the dynamic loader, /proc/self/exe is the loader.
  std::error_code error;
  const auto program = std::filesystem::read_symlink(kProgram, error);
  if (error || program.filename() != std::filesystem::path(argv[0]).filename()) return;
  if (setenv(kSetting, kSpins, 0) != 0) return;
  execv(kProgram, argv);
  unsetenv(kSetting);  // the restart failed: leave the environment as it was
}

}  // namespace ydistill
