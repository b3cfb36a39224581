// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/writable_folder.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {

void check_folder_is_writable(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path there = fs::absolute(folder, ignored);
  // A link to nowhere is there, and in the way.
  while (!fs::exists(fs::symlink_status(there, ignored)) && there.has_relative_path()) {
    there = there.parent_path();
  }
  // Permissions alone do not tell: of a read-only disk, for instance.
  std::string trial = (there / ".ydistill-XXXXXX.tmp").string();
  const int file = mkostemps(trial.data(), int(std::string_view(".tmp").size()), O_CLOEXEC);
  if (file < 0) {
    const int code = errno;
    throw FileError("{}: cannot be written to: {}{}", printable(folder.string()),
                    fs::equivalent(there, folder, ignored) ? "" : printable(there.string()) + ": ",
                    std::generic_category().message(code));
  }
  ::unlink(trial.c_str());
  ::close(file);
}

}  // namespace ydistill
