// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/atomic_file.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <ydistill/tensor/error.h>

#include "support/catch.h"
#include "support/files.h"
#include "support/small_disk.h"

using namespace ydistill;
using ydistill::test::read_file;
using ydistill::test::SmallDisk;
using ydistill::test::TempDir;
using ydistill::test::write_file;

namespace {

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

}  // namespace

TEST_CASE("atomic_file: replaces a file whole and leaves no temporary") {
  const TempDir dir;
  write_file_atomically(dir / "a.txt", "first");
  write_file_atomically(dir / "a.txt", "second");
  CHECK(read_file(dir / "a.txt") == "second");
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("atomic_file: the old file stays until commit") {
  const TempDir dir;
  write_file(dir / "a.txt", "old");
  {
    AtomicFile file(dir / "a.txt");
    file.write("new");
    CHECK(read_file(dir / "a.txt") == "old");
  }
  CHECK(read_file(dir / "a.txt") == "old");
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("atomic_file: a disk that fills up leaves the old file and no temporary") {
  const TempDir dir;
  write_file(dir / "a.bin", "old");
  const std::string large(100'000, 'x');
  {
    const SmallDisk disk(20'000);
    CHECK_THROWS_WITH_TEXT(write_file_atomically(dir / "a.bin", large), FileError,
                           "a.bin: cannot write: File too large (the file is left as it was)");
  }
  CHECK(read_file(dir / "a.bin") == "old");
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a.bin"});
  write_file_atomically(dir / "a.bin", large);
  CHECK(read_file(dir / "a.bin") == large);
}

TEST_CASE("atomic_file: a full device is named as such") {
  const int full = open("/dev/full", O_WRONLY);
  if (full < 0) YD_SKIP("this system has no /dev/full");
  const std::string text = "text";
  CHECK_THROWS_WITH_TEXT(write_fully(full, std::as_bytes(std::span(text)), "best.safetensors"),
                         FileError, "best.safetensors: cannot write: No space left on device");
  close(full);
}

TEST_CASE("atomic_file: refuses folders that are missing or are no folder") {
  const TempDir dir;
  CHECK_THROWS_WITH_TEXT(write_file_atomically(dir / "missing/a.txt", "x"), FileError,
                         "missing/a.txt: cannot create a file in its folder: No such file");
  write_file(dir / "plain", "x");
  CHECK_THROWS_WITH_TEXT(write_file_atomically(dir / "plain/a.txt", "x"), FileError,
                         "Not a directory");
  std::filesystem::create_directory(dir / "folder");
  CHECK_THROWS_WITH_TEXT(write_file_atomically(dir / "folder", "x"), FileError,
                         "folder: cannot be replaced: it is a folder");
  CHECK_THROWS_WITH_TEXT(write_file_atomically("/dev/null", "x"), FileError,
                         "it is a special file, not a regular file");
}

TEST_CASE("atomic_file: a folder without permission is named") {
  if (geteuid() == 0) YD_SKIP("root may write everywhere");
  const TempDir dir;
  const std::filesystem::path locked = dir / "locked";
  std::filesystem::create_directory(locked);
  chmod(locked.c_str(), 0500);
  CHECK_THROWS_WITH_TEXT(write_file_atomically(locked / "a.txt", "x"), FileError,
                         "cannot create a file in its folder: Permission denied");
  chmod(locked.c_str(), 0700);
}

TEST_CASE("atomic_file: follows links and keeps permissions") {
  const TempDir dir;
  write_file(dir / "real.txt", "old");
  chmod((dir / "real.txt").c_str(), 0640);
  std::filesystem::create_symlink("real.txt", dir / "link.txt");
  write_file_atomically(dir / "link.txt", "new");
  CHECK(std::filesystem::is_symlink(dir / "link.txt"));
  CHECK(read_file(dir / "real.txt") == "new");
  struct stat status {};
  REQUIRE(stat((dir / "real.txt").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}
