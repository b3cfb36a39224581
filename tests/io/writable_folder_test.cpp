// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/writable_folder.h>

#include <ydistill/tensor/error.h>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;

TEST_CASE("writable folder: a folder, and one that is not there yet, are left as they were") {
  const test::TempDir dir;
  check_folder_is_writable(dir.path());
  check_folder_is_writable(dir / "a/b/c/");
  CHECK(fs::is_empty(dir.path()));
}

TEST_CASE("writable folder: a file or a link to nowhere in the way is refused") {
  const test::TempDir dir;
  test::write_file(dir / "file", "");
  fs::create_symlink("nowhere", dir / "link");
  CHECK_THROWS_WITH_TEXT(check_folder_is_writable(dir / "file"), FileError,
                         "file: cannot be written to: Not a directory");
  CHECK_THROWS_WITH_TEXT(check_folder_is_writable(dir / "file/a/b"), FileError,
                         "file/a/b: cannot be written to: ");
  CHECK_THROWS_WITH_TEXT(check_folder_is_writable(dir / "link/a"), FileError,
                         "link/a: cannot be written to: ");
}

TEST_CASE("writable folder: one that only the system writes to is refused") {
  if (!fs::is_directory("/proc/self/fd")) YD_SKIP("no /proc here");
  CHECK_THROWS_WITH_TEXT(check_folder_is_writable("/proc/self/fd"), FileError,
                         "/proc/self/fd: cannot be written to: ");
}

}  // namespace
}  // namespace ydistill
