// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/new_file.h>

#include <ydistill/tensor/error.h>

#include "support/catch.h"
#include "support/files.h"
#include "support/small_disk.h"

namespace ydistill::test {

namespace fs = std::filesystem;

TEST_CASE("new file: what is there already is neither written nor copied over") {
  const TempDir dir;
  write_file(dir / "a", "precious");
  write_file(dir / "b", "other");
  CHECK_THROWS_WITH_TEXT(write_new_file(dir / "a", "x"), FileError,
                         "a: cannot be written: File exists");
  CHECK_THROWS_WITH_TEXT(copy_to_new_file(dir / "b", dir / "a"), FileError, "a: File exists");
  CHECK_THROWS_WITH_TEXT(write_new_file(dir / "none/a", "x"), FileError,
                         "none/a: cannot be written: No such file or directory");
  CHECK(read_file(dir / "a") == "precious");
}

TEST_CASE("new file: a copy has the bytes and the permissions") {
  const TempDir dir;
  write_file(dir / "a", std::string(300'000, 'x') + "end");
  fs::permissions(dir / "a", fs::perms::owner_read);
  copy_to_new_file(dir / "a", dir / "b");
  CHECK(read_file(dir / "b") == read_file(dir / "a"));
  CHECK(fs::status(dir / "b").permissions() == fs::perms::owner_read);
  CHECK_THROWS_WITH_TEXT(copy_to_new_file(dir / "none", dir / "c"), FileError,
                         "none: cannot be copied to " + (dir / "c: No such file").string());
  CHECK_THROWS_WITH_TEXT(copy_to_new_file(dir.path(), dir / "c"), FileError, "c: Is a directory");
  CHECK_FALSE(fs::exists(dir / "c"));
}

TEST_CASE("new file: where there is no room the reason is told and nothing is left") {
  const TempDir dir;
  write_file(dir / "a", std::string(5'000, 'x'));
  {
    const SmallDisk disk(1'000);
    CHECK_THROWS_WITH_TEXT(write_new_file(dir / "b", std::string(5'000, 'x')), FileError,
                           "b: cannot be written: File too large");
    CHECK_THROWS_WITH_TEXT(copy_to_new_file(dir / "a", dir / "b"), FileError, "b: File too large");
  }
  CHECK_FALSE(fs::exists(dir / "b"));
}

}  // namespace ydistill::test
