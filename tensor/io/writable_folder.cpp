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
  // A dangling link counts as existing: it is in the way.
  while (!fs::exists(fs::symlink_status(there, ignored)) && there.has_relative_path()) {
    there = there.parent_path();
  }
  // Permissions alone are not enough: the disk may be read-only, for instance.
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

void check_file_has_place(const std::filesystem::path& file) {
  std::error_code ignored;
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (!file.has_filename() || std::filesystem::is_directory(file, ignored)) {
    throw FileError("{}: the name of a file wanted", printable(file.string()));
  }
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw FileError("{}: there is no folder {}", printable(file.string()),
                    printable(folder.string()));
  }
  check_folder_is_writable(folder);
}

}  // namespace ydistill
